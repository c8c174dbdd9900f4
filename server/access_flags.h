// The flags of TLS and of who may do what, checked together.
#ifndef DIFFUSIOND_SERVER_ACCESS_FLAGS_H_
#define DIFFUSIOND_SERVER_ACCESS_FLAGS_H_

#include <string>
#include <vector>

#include "server/access/access_control.h"
#include "server/server_flags.h"

namespace diffusiond {

// Everything that is wrong with them, one sentence each. `options` gets paths and choices; what
// stands in the files is not looked at.
std::vector<std::string> CheckAccessFlags(const ServerFlags& flags,
                                          AccessControl::Options* options);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ACCESS_FLAGS_H_
