// Requests that are refused before a method has them.
#ifndef DIFFUSIOND_SERVER_HTTP_LOGGED_REFUSAL_H_
#define DIFFUSIOND_SERVER_HTTP_LOGGED_REFUSAL_H_

#include <string>

#include "model/http/http_message.h"
#include "server/rpc/service_context.h"

namespace diffusiond {

// RefusalAnswer, with a line of the event "http" where a call's would be: in the access log, or in
// the log among those of refused calls, of which a flood writes only some. `request`: whose line
// and headers are there; null: of what the server itself refuses, it tells nobody who sent it.
HttpAnswer LoggedRefusal(const ServiceContext& context, int status, const std::string& text,
                         const HttpRequest* request = nullptr);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_LOGGED_REFUSAL_H_
