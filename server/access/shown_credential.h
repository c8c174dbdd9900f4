// What callers show, in whatever protocol, as a Credential.
#ifndef DIFFUSIOND_SERVER_ACCESS_SHOWN_CREDENTIAL_H_
#define DIFFUSIOND_SERVER_ACCESS_SHOWN_CREDENTIAL_H_

#include "absl/strings/string_view.h"
#include "server/access/access_control.h"

namespace diffusiond {

// The value of one "authorization", of which there may be several.
void AddAuthorization(absl::string_view value, Credential& credential);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ACCESS_SHOWN_CREDENTIAL_H_
