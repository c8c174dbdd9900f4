// What every command that talks to a server shares: --server, --deadline, --tenant, TLS, and how
// errors are told.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_CONNECTION_H_
#define DIFFUSIOND_CLIENT_COMMANDS_CONNECTION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/commands/command_line.h"
#include "client/diffusion_client.h"

namespace diffusiond {

// A flag's length of time: "30" is 30 seconds; "1.5s", "2m", "1h30m" as absl::Duration.
struct DurationFlag {
  absl::Duration value;
};
bool AbslParseFlag(absl::string_view text, DurationFlag* duration, std::string* error);
std::string AbslUnparseFlag(const DurationFlag& duration);

extern const std::vector<std::string> kConnectionFlags;

// `flags` with kConnectionFlags and those of security_flags.h behind them.
std::vector<std::string> WithConnectionFlags(std::vector<std::string> flags);

// Ports that servers listen on unless told otherwise, for clients and for operators.
inline constexpr char kDefaultPort[] = "50051";
inline constexpr char kDefaultAdminPort[] = "50052";

// "host", "[::1]", "::1" or "host:" with the port behind it; whatever else as it is: "host:port",
// "unix:/path", "dns:///name".
std::string WithDefaultPort(const std::string& target, absl::string_view port);

// The server of --server.
std::string ServerByFlags();

// INVALID_ARGUMENT: no metadata can carry what --tenant says.
absl::Status CheckTenantFlag();

// Errors: CheckTenantFlag, ClientOptionsByFlags.
absl::StatusOr<std::unique_ptr<DiffusionClient>> ConnectByFlags();

// The flag's deadline from now, and the context's cancellation.
CallOptions CallOptionsByFlags(const CommandContext& context);

// Tells `status` (not OK) on the error stream, with what to do about it where that is known, and
// returns the exit code.
int ReportError(const absl::Status& status, CommandContext& context);

}  // namespace diffusiond

ABSL_DECLARE_FLAG(std::string, server);
ABSL_DECLARE_FLAG(std::string, tenant);
ABSL_DECLARE_FLAG(diffusiond::DurationFlag, deadline);

#endif  // DIFFUSIOND_CLIENT_COMMANDS_CONNECTION_H_
