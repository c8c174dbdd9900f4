// The flags that say how the server is reached safely, and who asks.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_SECURITY_FLAGS_H_
#define DIFFUSIOND_CLIENT_COMMANDS_SECURITY_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/diffusion_client.h"

namespace diffusiond {

// `flags` with those of this file behind them.
std::vector<std::string> WithSecurityFlags(std::vector<std::string> flags);

// What a command connects with. INVALID_ARGUMENT or a file's error, naming it.
absl::StatusOr<ClientOptions> ClientOptionsByFlags();

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_COMMANDS_SECURITY_FLAGS_H_
