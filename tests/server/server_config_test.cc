#include "server/server_config.h"

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/device_list.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr int kCores = 6;

ServerFlags GoodFlags() {
  ServerFlags flags;
  flags.model_repository = "models";
  return flags;
}

std::vector<std::string> Check(const ServerFlags& flags) {
  ParsedFlags parsed;
  return CheckFlags(flags, kCores, &parsed);
}

TEST(ServerFlags, DefaultsAreGoodAndMeanEveryCore) {
  ParsedFlags parsed;
  EXPECT_THAT(CheckFlags(GoodFlags(), kCores, &parsed), IsEmpty());
  ASSERT_EQ(parsed.devices.size(), 1u);
  EXPECT_EQ(parsed.devices[0].cores, kCores);
  EXPECT_THAT(parsed.tenant_weights, IsEmpty());
  EXPECT_FALSE(GoodFlags().exit_on_model_error) << "one bad upload keeps nothing from being served";
}

TEST(ServerFlags, NameCoresWorkersAndWeights) {
  ServerFlags flags = GoodFlags();
  flags.cpu_cores = 5;
  flags.devices = "cpu:2";
  flags.tenant_weights = "gold=3,dns:///a=b=0.5";
  ParsedFlags parsed;
  ASSERT_THAT(CheckFlags(flags, kCores, &parsed), IsEmpty());
  ASSERT_EQ(parsed.devices.size(), 2u);
  EXPECT_EQ(parsed.devices[0].cores, 3);
  EXPECT_EQ(parsed.devices[1].cores, 2);
  EXPECT_THAT(parsed.tenant_weights, ElementsAre(Pair("dns:///a=b", 0.5), Pair("gold", 3)));
}

TEST(ServerFlags, OfAccessGoTogether) {
  ServerFlags flags = GoodFlags();
  flags.tls_cert = "c";
  flags.tls_key = "k";
  flags.tls_client_ca = "ca";
  flags.tls_client_auth = "request";
  flags.tls_identity = "uri";
  flags.access_file = "a";
  flags.admin_listen = "0.0.0.0:50052";
  ParsedFlags parsed;
  EXPECT_THAT(CheckFlags(flags, kCores, &parsed), IsEmpty());
  EXPECT_EQ(parsed.access.tls_client_ca, "ca");
  EXPECT_EQ(parsed.access.client_certificates, ClientCertificates::kRequest);
  EXPECT_EQ(parsed.access.certificate_name, CertificateName::kUri);
  EXPECT_EQ(parsed.access.access_file, "a");
}

TEST(ServerFlags, AnAdminPortOfThisMachineAloneNeedsNothing) {
  for (const char* address : {"127.0.0.1:1", "localhost:1", "[::1]:1"}) {
    ServerFlags flags = GoodFlags();
    flags.admin_listen = address;
    EXPECT_THAT(Check(flags), IsEmpty()) << address;
  }
}

TEST(ServerFlags, APollIntervalOfZeroIsOff) {
  ServerFlags flags = GoodFlags();
  flags.model_poll_interval = absl::ZeroDuration();
  EXPECT_THAT(Check(flags), IsEmpty());
}

struct WrongFlag {
  const char* name;
  std::function<void(ServerFlags&)> make;
  const char* flag;
  const char* value_and_range;
};

std::ostream& operator<<(std::ostream& out, const WrongFlag& wrong) { return out << wrong.name; }

class ServerFlagsFault : public ::testing::TestWithParam<WrongFlag> {};

TEST_P(ServerFlagsFault, NamesFlagValueAndRange) {
  ServerFlags flags = GoodFlags();
  GetParam().make(flags);
  EXPECT_THAT(Check(flags), ElementsAre(AllOf(HasSubstr(GetParam().flag),
                                              HasSubstr(GetParam().value_and_range))));
}

using F = ServerFlags;

INSTANTIATE_TEST_SUITE_P(
    Each, ServerFlagsFault,
    ::testing::Values(
        WrongFlag{"NoRepository", [](F& f) { f.model_repository = ""; }, "--model_repository",
                  "is empty"},
        WrongFlag{"NoPort", [](F& f) { f.listen = "localhost"; }, "--listen",
                  "\"localhost\", allowed: host:port"},
        WrongFlag{"PortTooLarge", [](F& f) { f.listen = "127.0.0.1:65536"; }, "--listen", "65535"},
        WrongFlag{"NoHost", [](F& f) { f.listen = ":50051"; }, "--listen", "\":50051\""},
        WrongFlag{"BareIpv6", [](F& f) { f.metrics_listen = "::1:9464"; }, "--metrics_listen",
                  "[IPv6]:port"},
        WrongFlag{"CertificateWithoutKey", [](F& f) { f.tls_cert = "c"; }, "--tls_cert",
                  "needs --tls_key"},
        WrongFlag{"KeyWithoutCertificate", [](F& f) { f.tls_key = "k"; }, "--tls_key",
                  "needs --tls_cert"},
        WrongFlag{"AuthoritiesForNobody",
                  [](F& f) { f.tls_cert = "c", f.tls_key = "k", f.tls_client_ca = "a"; },
                  "--tls_client_ca", "needs --tls_client_auth: request or require"},
        WrongFlag{"ClientsWithoutAuthorities",
                  [](F& f) { f.tls_cert = "c", f.tls_key = "k", f.tls_client_auth = "require"; },
                  "--tls_client_auth", "needs --tls_client_ca"},
        WrongFlag{"ClientAuth", [](F& f) { f.tls_client_auth = "yes"; }, "--tls_client_auth",
                  "is \"yes\", allowed: none, request or require"},
        WrongFlag{"Identity", [](F& f) { f.tls_identity = "dns"; }, "--tls_identity",
                  "is \"dns\", allowed: spiffe, uri or common_name"},
        WrongFlag{"TokensInPlaintext", [](F& f) { f.access_file = "a"; }, "--access_file",
                  "needs --tls_cert"},
        WrongFlag{"AdminForAnybody", [](F& f) { f.admin_listen = "0.0.0.0:50052"; },
                  "--admin_listen", "\"0.0.0.0:50052\", allowed: a loopback address, unless"},
        WrongFlag{
            "AdminForAnybodyInTls",
            [](F& f) { f.admin_listen = "10.0.0.1:50052", f.tls_cert = "c", f.tls_key = "k"; },
            "--admin_listen", "allowed: a loopback address, unless"},
        WrongFlag{"AdminOnANameLikeLoopback",
                  [](F& f) { f.admin_listen = "127.example.com:50052"; }, "--admin_listen",
                  "allowed: a loopback address, unless"},
        WrongFlag{"Device", [](F& f) { f.devices = "tpu"; }, "--devices", "\"tpu\""},
        WrongFlag{"Cores", [](F& f) { f.cpu_cores = -1; }, "--cpu_cores", "is -1, allowed: 0 .. "},
        WrongFlag{"Watchdog", [](F& f) { f.worker_watchdog = absl::ZeroDuration(); },
                  "--worker_watchdog", "is 0, allowed: 1s .. inf"},
        WrongFlag{"Ageing", [](F& f) { f.priority_ageing = absl::ZeroDuration(); },
                  "--priority_ageing", "is 0, allowed: 1ms .. inf"},
        WrongFlag{"NoShare", [](F& f) { f.queue_share = 0; }, "--queue_share",
                  "is 0, allowed: 0.01 .. 1"},
        WrongFlag{"HighOverAll", [](F& f) { f.high_priority_share = 1.5; }, "--high_priority_share",
                  "is 1.5, allowed: 0.01 .. 1"},
        WrongFlag{"ShareOfNaN", [](F& f) { f.queue_share = std::nan(""); }, "--queue_share",
                  "is nan"},
        WrongFlag{"NoWeight", [](F& f) { f.tenant_weights = "a=1,b"; }, "--tenant_weights",
                  "\"b\", allowed: name=weight"},
        WrongFlag{"WeightOfNothing", [](F& f) { f.tenant_weights = "a=0"; }, "--tenant_weights",
                  "weight 0.001 .. 1000"},
        WrongFlag{"WeightTwice", [](F& f) { f.tenant_weights = "a=1,a=2"; }, "--tenant_weights",
                  "each name once"},
        WrongFlag{"PollTooOften", [](F& f) { f.model_poll_interval = absl::Microseconds(1); },
                  "--model_poll_interval", "is 1us, allowed: 0 (off), or 10ms .. inf"},
        WrongFlag{"KeepsNone", [](F& f) { f.keep_versions = 0; }, "--keep_versions",
                  "is 0, allowed: 1 .. 100"},
        WrongFlag{"ModelMemory", [](F& f) { f.max_model_memory = 1000; }, "--max_model_memory",
                  "is 1000, allowed: 0 (half of the machine's memory), or 1048576 .. "},
        WrongFlag{"MicroBatch", [](F& f) { f.micro_batch = -1; }, "--micro_batch",
                  "is -1, allowed: 0 .. 1024"},
        WrongFlag{"MicroBatchOfACpu", [](F& f) { f.micro_batch = 2; }, "--micro_batch",
                  "is 2, which is for CUDA"},
        WrongFlag{"Resident", [](F& f) { f.max_resident_images = 0; }, "--max_resident_images",
                  "is 0, allowed: 1 .. "},
        WrongFlag{"RequestLargerThanQueue",
                  [](F& f) { f.max_queued_images = 10, f.max_images_per_request = 11; },
                  "--max_images_per_request is 11", "--max_queued_images, 10"},
        WrongFlag{"TinyRequests", [](F& f) { f.max_request_bytes = 100; },
                  "--max_request_bytes is 100", "is 100, allowed: 1024 .. 1073741824"},
        WrongFlag{"Encoders", [](F& f) { f.encoder_threads = 0; }, "--encoder_threads",
                  "is 0, allowed: 1 .. 256"},
        WrongFlag{"Previews", [](F& f) { f.max_queued_previews = -5; }, "--max_queued_previews",
                  "is -5"},
        WrongFlag{"Progress", [](F& f) { f.progress_interval = absl::Hours(2); },
                  "--progress_interval", "is 2h, allowed: 0 .. 1h"},
        WrongFlag{"Drain", [](F& f) { f.drain_timeout = -absl::Seconds(1); }, "--drain_timeout",
                  "is -1s, allowed: 0 .. 24h"},
        WrongFlag{"DrainForEver", [](F& f) { f.drain_timeout = absl::InfiniteDuration(); },
                  "--drain_timeout", "is inf"},
        WrongFlag{"ConnectionAge", [](F& f) { f.max_connection_age = absl::Milliseconds(10); },
                  "--max_connection_age", "is 10ms, allowed: 1s .. 24h"},
        WrongFlag{"RefusalsLogged", [](F& f) { f.refusals_logged_per_second = -1; },
                  "--refusals_logged_per_second", "is -1, allowed: 0 .. 10000"},
        WrongFlag{"DecoderThreads", [](F& f) { f.decoder_threads = 0; }, "--decoder_threads",
                  "is 0, allowed: 1 .. 256"},
        WrongFlag{"PictureSide", [](F& f) { f.max_picture_side = 8193; }, "--max_picture_side",
                  "is 8193, allowed: 1 .. 8192"},
        WrongFlag{"QueuedPictures", [](F& f) { f.max_queued_pictures = 0; },
                  "--max_queued_pictures", "is 0, allowed: 1 .. 100000"},
        WrongFlag{"WaitingBytes", [](F& f) { f.max_waiting_bytes = 0; }, "--max_waiting_bytes",
                  "is 0, allowed: 16777216 .. 1099511627776"},
        WrongFlag{"LameDuck", [](F& f) { f.lame_duck = absl::Seconds(31); }, "--lame_duck",
                  "is 31s, allowed: 0 .. 30s"},
        WrongFlag{"ConnectionIdle", [](F& f) { f.max_connection_idle = absl::Hours(25); },
                  "--max_connection_idle", "is 25h, allowed: 1s .. 24h"},
        WrongFlag{"Connections", [](F& f) { f.max_connections = 0; }, "--max_connections",
                  "is 0, allowed: 1 .. 1000000"},
        WrongFlag{"ConnectionsPerAddress", [](F& f) { f.max_connections_per_address = 0; },
                  "--max_connections_per_address", "is 0, allowed: 1 .. 1000000"},
        WrongFlag{"HttpHeaders", [](F& f) { f.max_http_header_bytes = 1023; },
                  "--max_http_header_bytes", "is 1023, allowed: 1024 .. 1048576"},
        WrongFlag{"HttpRequestTimeout",
                  [](F& f) { f.http_request_timeout = absl::Milliseconds(999); },
                  "--http_request_timeout", "is 999ms, allowed: 1s .. inf"},
        WrongFlag{"HttpIdleTimeout", [](F& f) { f.http_idle_timeout = absl::ZeroDuration(); },
                  "--http_idle_timeout", "is 0, allowed: 1s .. inf"},
        WrongFlag{"ConnectionsPerSecond", [](F& f) { f.max_connections_per_second = 0; },
                  "--max_connections_per_second", "is 0, allowed: 1 .. 1000000"},
        WrongFlag{"ConnectionsPerSecondPerAddress",
                  [](F& f) { f.max_connections_per_second_per_address = 0; },
                  "--max_connections_per_second_per_address", "is 0, allowed: 1 .. 1000000"},
        WrongFlag{"Calls", [](F& f) { f.max_calls = 0; }, "--max_calls",
                  "is 0, allowed: 1 .. 1000000"},
        WrongFlag{"CallsPerAddress", [](F& f) { f.max_calls_per_address = 0; },
                  "--max_calls_per_address", "is 0, allowed: 1 .. 1000000"},
        WrongFlag{"CallsPerConnection", [](F& f) { f.max_calls_per_connection = 0; },
                  "--max_calls_per_connection", "is 0, allowed: 1 .. 1000000"},
        WrongFlag{"TransportBytes", [](F& f) { f.max_transport_bytes = 1 << 20; },
                  "--max_transport_bytes", "is 1048576, allowed: 16777216 .. 1099511627776"},
        WrongFlag{"Stall", [](F& f) { f.stall_timeout = absl::Milliseconds(10); },
                  "--stall_timeout", "is 10ms, allowed: 1s .. inf"}),
    ::testing::PrintToStringParamName());

TEST(ServerFlags, AllFaultsAreNamedAtOnce) {
  ServerFlags flags;
  flags.devices = "gpu";
  flags.micro_batch = 5000;
  flags.max_queued_images = 0;
  EXPECT_EQ(Check(flags).size(), 5u) << "the two flags, the queue, the repository and the count";
}

TEST(ServerFlags, AddressesMayBeNamesAndBracketedIpv6) {
  ServerFlags flags = GoodFlags();
  flags.listen = "[::]:0";
  flags.metrics_listen = "localhost:9464";
  EXPECT_THAT(Check(flags), IsEmpty());
  flags.metrics_listen = "";
  EXPECT_THAT(Check(flags), IsEmpty());
}

std::vector<std::string> Names(absl::string_view text) {
  const auto devices = ParseDeviceList(text, kCores);
  EXPECT_TRUE(devices.ok()) << devices.status();
  std::vector<std::string> names;
  for (const DeviceSpec& device : *devices) names.push_back(DeviceName(device));
  return names;
}

TEST(DeviceList, NamesWorkersInOrder) {
  EXPECT_THAT(Names("cpu"), ElementsAre("cpu:0"));
  EXPECT_THAT(Names("cpu:2"), ElementsAre("cpu:0", "cpu:1"));
  EXPECT_THAT(Names("cuda"), ElementsAre("cuda:0"));
  EXPECT_THAT(Names("cuda:1,cuda:0"), ElementsAre("cuda:1", "cuda:0"));
}

TEST(DeviceList, RefusesWhatIsWrongByName) {
  for (const std::string text :
       {"", "cpu,", "gpu:0", "cpu:0", "cpu:-1", "cpu:x", "cpu:", "cpu:7", "cpu,cpu", "cuda:-1",
        "cuda:64", "cuda:1,cuda:1", "cpu,cuda:0", " cpu"}) {
    const auto devices = ParseDeviceList(text, kCores);
    EXPECT_EQ(devices.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(devices.status().message()), HasSubstr("allowed: cpu")) << text;
  }
  EXPECT_THAT(std::string(ParseDeviceList("cpu:65", 100).status().message()),
              HasSubstr("limit of 64"));
}

TEST(ServerFlags, OfConnectionsBecomeTheirLimits) {
  ServerFlags flags;
  flags.max_connections = 1;
  flags.max_connections_per_address = 2;
  flags.max_calls = 3;
  flags.max_calls_per_address = 4;
  const ConnectionBook::Limits limits = ConnectionLimitsOf(flags);
  EXPECT_EQ(limits.total, 1);
  EXPECT_EQ(limits.per_address, 2);
  EXPECT_EQ(limits.calls, 3);
  EXPECT_EQ(limits.calls_per_address, 4);
}

TEST(ServerFlags, OfHttpBecomeItsLimits) {
  ServerFlags flags;
  flags.max_http_connections = 1;
  flags.max_http_connections_per_address = 2;
  flags.max_http_header_bytes = 3;
  flags.max_transport_bytes = 4;
  flags.http_request_timeout = absl::Seconds(5);
  flags.http_idle_timeout = absl::Seconds(6);
  flags.stall_timeout = absl::Seconds(7);
  const HttpLimits limits = HttpLimitsOf(flags);
  EXPECT_EQ(limits.max_connections, 1);
  EXPECT_EQ(limits.max_connections_per_address, 2);
  EXPECT_EQ(limits.max_header_bytes, 3u);
  EXPECT_EQ(limits.max_bodies_bytes, 4u);
  EXPECT_EQ(limits.request_time, absl::Seconds(5));
  EXPECT_EQ(limits.idle_time, absl::Seconds(6));
  EXPECT_EQ(limits.slow_reader_time, absl::Seconds(7));
}

TEST(ServerFlags, OfHttpHaveTheDefaultsOfItsServer) {
  const HttpLimits unset, limits = HttpLimitsOf(ServerFlags());
  EXPECT_EQ(limits.max_header_bytes, unset.max_header_bytes);
  EXPECT_EQ(limits.request_time, unset.request_time);
  EXPECT_EQ(limits.idle_time, unset.idle_time);
}

}  // namespace
}  // namespace diffusiond
