#include "client/commands/connection.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/commands/security_flags.h"
#include "client/rpc_error.h"
#include "model/process/printable_text.h"
#include "model/status/status_macros.h"

ABSL_FLAG(std::string, server, "127.0.0.1:50051", "=HOST[:PORT]: where the server listens");
ABSL_FLAG(diffusiond::DurationFlag, deadline, {absl::InfiniteDuration()},
          "=SECONDS: give up after so long (30, 90s, 2m)");
ABSL_FLAG(std::string, tenant, "", "=NAME: on whose behalf; the server shares by tenant");

namespace diffusiond {

const std::vector<std::string> kConnectionFlags = {"server", "deadline", "tenant"};

bool AbslParseFlag(absl::string_view text, DurationFlag* duration, std::string* error) {
  if (text == "none") {
    duration->value = absl::InfiniteDuration();
    return true;
  }
  double seconds = 0;
  const bool number = absl::SimpleAtod(text, &seconds);
  if (number) duration->value = absl::Seconds(seconds);
  if ((number && std::isnan(seconds)) ||
      (!number && !absl::ParseDuration(text, &duration->value)) ||
      duration->value <= absl::ZeroDuration()) {
    *error = "expected a length of time above 0, such as 30, 90s or 2m";
    return false;
  }
  return true;
}

std::string AbslUnparseFlag(const DurationFlag& duration) {
  return duration.value == absl::InfiniteDuration() ? "none" : absl::FormatDuration(duration.value);
}

std::vector<std::string> WithConnectionFlags(std::vector<std::string> flags) {
  flags.insert(flags.end(), kConnectionFlags.begin(), kConnectionFlags.end());
  return WithSecurityFlags(std::move(flags));
}

std::string WithDefaultPort(const std::string& target, absl::string_view port) {
  const auto colons = std::count(target.begin(), target.end(), ':');
  if (target.empty() || absl::StrContains(target, '/')) return target;
  if (target.back() == ']' || colons == 0) return absl::StrCat(target, ":", port);
  if (target[0] != '[' && colons > 1) return absl::StrCat("[", target, "]:", port);
  if (target.back() == ':') return absl::StrCat(target, port);
  return target;
}

std::string ServerByFlags() { return WithDefaultPort(absl::GetFlag(FLAGS_server), kDefaultPort); }

absl::Status CheckTenantFlag() {
  absl::Status checked = CheckTenant(absl::GetFlag(FLAGS_tenant));
  if (checked.ok()) return checked;
  return absl::Status(checked.code(), absl::StrCat("--", checked.message()));
}

absl::StatusOr<std::unique_ptr<DiffusionClient>> ConnectByFlags() {
  RETURN_IF_ERROR(CheckTenantFlag());
  ASSIGN_OR_RETURN(const ClientOptions options, ClientOptionsByFlags());
  return DiffusionClient::Connect(ServerByFlags(), options);
}

CallOptions CallOptionsByFlags(const CommandContext& context) {
  return {.timeout = absl::GetFlag(FLAGS_deadline).value,
          .cancellation = context.cancellation,
          .tenant = absl::GetFlag(FLAGS_tenant)};
}

int ReportError(const absl::Status& status, CommandContext& context) {
  if (status.code() == absl::StatusCode::kCancelled && context.cancellation->cancelled()) {
    *context.err << "diffusionctl: interrupted; the server was told to stop\n";
    return kExitInterrupted;
  }
  *context.err << "diffusionctl: " << absl::StatusCodeToString(status.code()) << ": "
               << PrintableLines(status.message()) << "\n";
  if (IsUnreachable(status)) {
    *context.err << "  Is it running? Start one with\n"
                    "    diffusiond --model_repository=DIR --listen="
                 << ServerByFlags() << "\n  or name another with --server=HOST:PORT.\n";
  }
  if (absl::IsUnauthenticated(status)) {
    *context.err << "  This server asks who you are: show a token (--token_file=FILE) or a "
                    "certificate\n  (--cert=FILE --key=FILE).\n";
  }
  return kExitFailed;
}

}  // namespace diffusiond
