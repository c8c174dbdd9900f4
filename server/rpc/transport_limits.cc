#include "server/rpc/transport_limits.h"

#include "grpc/compression.h"
#include "grpc/grpc.h"
#include "grpcpp/resource_quota.h"

namespace diffusiond {
namespace {

// A client whose machine or network is gone without a word is noticed within a minute and a half,
// and clients may ask in the same way: common ones do so every five or ten seconds, and one that
// asks more often than allowed is sent away.
constexpr int kKeepaliveTimeMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
constexpr int kMinClientPingIntervalMs = 1'000;

// Of the headers of a call: a token and some metadata. gRPC's own default, which other versions of
// it have otherwise.
constexpr int kMaxHeaderBytes = 8 << 10;

// What a client that has connected may take to begin to speak HTTP/2.
constexpr int kHandshakeTimeoutMs = 20'000;

constexpr int kMaxThreads = 64;

void SetDuration(const char* name, absl::Duration value, grpc::ServerBuilder* builder) {
  if (value == absl::InfiniteDuration()) return;
  builder->AddChannelArgument(name, static_cast<int>(absl::ToInt64Milliseconds(value)));
}

}  // namespace

void SetTransportLimits(const TransportLimits& limits, grpc::ServerBuilder* builder) {
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kMinClientPingIntervalMs);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxHeaderBytes);
  // Without a limit on the grace that calls have when a connection is told to go: none is cut off.
  SetDuration(GRPC_ARG_MAX_CONNECTION_AGE_MS, limits.connection_age, builder);
  SetDuration(GRPC_ARG_MAX_CONNECTION_IDLE_MS, limits.connection_idle, builder);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.calls_per_connection);
  builder->SetMaxReceiveMessageSize(limits.request_bytes);
  // Only reflection's streams take a thread each: whoever would have one more is refused with
  // RESOURCE_EXHAUSTED.
  builder->SetResourceQuota(grpc::ResourceQuota().Resize(limits.bytes).SetMaxThreads(kMaxThreads));
  if (limits.accept_compressed_requests) return;
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    builder->SetCompressionAlgorithmSupportStatus(algorithm, false);
  }
}

}  // namespace diffusiond
