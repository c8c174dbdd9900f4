#include "server/http/http_call.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/metadata_keys.h"
#include "server/access/shown_credential.h"

namespace diffusiond {
CallOrigin OriginOf(const HttpRequest& request) {
  CallOrigin origin = {.peer = request.peer};
  int traceparents = 0;
  for (const auto& [name, value] : request.headers) {
    if (absl::EqualsIgnoreCase(name, kTraceparent)) {
      // Of several none is the right one.
      origin.traceparent = ++traceparents == 1 ? value : "";
    }
    if (!absl::EqualsIgnoreCase(name, kTracestate)) continue;
    absl::StrAppend(&origin.tracestate, origin.tracestate.empty() ? "" : ",", value);
  }
  return origin;
}

CallShows ShowsOf(const HttpRequest& request, const AccessControl& access) {
  CallShows shows = {.peer = request.peer};
  for (const auto& [name, value] : request.headers) {
    if (absl::EqualsIgnoreCase(name, "authorization")) AddAuthorization(value, shows.credential);
  }
  if (!request.client_certificate.empty()) {
    shows.credential.certificate = request.client_certificate;
    shows.credential.certificate_name = access.NameIn(request.client_certificate);
  }
  if (const std::string* tenant = FindHeader(request.headers, kTenantMetadata)) {
    shows.tenant = *tenant;
  }
  return shows;
}

}  // namespace diffusiond
