// What a request of HTTP shows of who sends it.
#ifndef DIFFUSIOND_SERVER_HTTP_HTTP_CALL_H_
#define DIFFUSIOND_SERVER_HTTP_HTTP_CALL_H_

#include "model/http/http_message.h"
#include "server/access/access_control.h"
#include "server/rpc/call_scope.h"
#include "server/rpc/submission.h"

namespace diffusiond {

CallOrigin OriginOf(const HttpRequest& request);
CallShows ShowsOf(const HttpRequest& request, const AccessControl& access);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_HTTP_CALL_H_
