#include "server/http/http_front.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "model/process/listening_sockets.h"
#include "model/status/status_macros.h"
#include "nlohmann/json.hpp"
#include "server/http/gallery.h"
#include "server/http/http_call.h"
#include "server/http/http_errors.h"
#include "server/http/http_generation.h"
#include "server/http/json_api.h"
#include "server/http/logged_refusal.h"
#include "server/http/openai_images.h"
#include "server/http/openai_models.h"
#include "server/http/openapi_document.h"
#include "server/http/server_state.h"
#include "server/rpc/call_scope.h"
#include "server/rpc/requested_model.h"

namespace diffusiond {
namespace {

using Context = std::shared_ptr<const ServiceContext>;
using Json = nlohmann::ordered_json;

constexpr char kModelsPath[] = "/v1/models/";

// "https://here.example/page" to "here.example".
absl::string_view HostOfUrl(absl::string_view url) {
  if (!absl::ConsumePrefix(&url, "http://")) absl::ConsumePrefix(&url, "https://");
  return url.substr(0, url.find('/'));
}

// A browser tells which page sends it: by Origin, and where it needs none (a picture of a page) by
// Sec-Fetch-Site; whoever types an address is "none". Without TLS, but on loopback, it has that of
// no request, and Referer is left, which a page may hide. On loopback a name that somebody else's
// DNS made ours (rebinding) is no name of this machine.
std::optional<HttpAnswer> RefuseForeignPage(const ServiceContext& context,
                                            const HttpRequest& request, bool on_loopback) {
  const std::string* const host = FindHeader(request.headers, "host");
  if (on_loopback && host != nullptr && !IsLoopback(*host)) {
    return LoggedRefusal(context, 403,
                         "this server is asked for by the name of its own machine alone", &request);
  }
  constexpr char kRefusal[] = "pages of other sites may not draw here";
  const std::string* const fetched = FindHeader(request.headers, "sec-fetch-site");
  // A link to the page itself may stand anywhere.
  if (fetched != nullptr && *fetched != "same-origin" && *fetched != "none" &&
      request.path != "/") {
    return LoggedRefusal(context, 403, kRefusal, &request);
  }
  const std::string* page = FindHeader(request.headers, "origin");
  if (page == nullptr && fetched == nullptr && request.path != "/") {
    page = FindHeader(request.headers, "referer");
  }
  if (page == nullptr || (host != nullptr && HostOfUrl(*page) == *host)) return std::nullopt;
  return LoggedRefusal(context, 403, kRefusal, &request);
}

using Answer = std::function<absl::StatusOr<Json>(const HttpRequest&)>;

absl::StatusOr<Json> ReadAs(const ServiceContext& context, const HttpRequest& request,
                            const Answer& answer, CallScope& scope) {
  RETURN_IF_ERROR(scope.Admission());
  ASSIGN_OR_RETURN(const Caller caller,
                   CallerOf(context, "/diffusiond.v1.DiffusionService/ListModels",
                            ShowsOf(request, *context.access)));
  NoteIdentity(caller.identity.get(), scope);
  return answer(request);
}

// A call that is answered at once, with the right to read. `polled`: as CallScope.
HttpHandler Reading(Context context, const std::string& method, Answer answer,
                    bool polled = false) {
  context->metrics->OnMethodServed(method);
  return [context = std::move(context), method, answer = std::move(answer), polled](
             const HttpRequest& request, const std::shared_ptr<HttpResponder>& responder) {
    CallScope scope(context, method, OriginOf(request));
    if (polled) scope.Polled();
    const absl::StatusOr<Json> body = ReadAs(*context, request, answer, scope);
    HttpAnswer reply = body.ok() ? HttpAnswer{.head = {.content_type = "application/json"},
                                              .body = absl::StrCat(body->dump(), "\n")}
                                 : ErrorAnswer(body.status());
    scope.Answered(reply.head.status);
    responder->Answer(std::move(reply));
    scope.End(body.status());
  };
}

// A ConnectionRate for the server's threads.
class SharedConnectionRate {
 public:
  explicit SharedConnectionRate(ConnectionRate::Limits limits) : rate_(limits) {}

  std::optional<HttpRefusal> Judge(const std::string& address) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    switch (rate_.Take(address)) {
      case ConnectionRate::Verdict::kTooMany:
        return HttpRefusal::kRate;
      case ConnectionRate::Verdict::kTooManyOfAddress:
        return HttpRefusal::kRateOfAddress;
      case ConnectionRate::Verdict::kTaken:
        break;
    }
    return std::nullopt;
  }

 private:
  absl::Mutex mutex_;
  ConnectionRate rate_ ABSL_GUARDED_BY(mutex_);
};

class Routes {
 public:
  Routes(Context context, const HttpFront::Options& options)
      : context_(std::move(context)),
        max_request_bytes_(static_cast<uint64_t>(options.max_request_bytes)),
        on_loopback_(IsLoopback(options.listen)) {}

  void AddDrawing(const std::string& method, const std::string& path,
                  HttpGeneration::Reading reading) {
    const std::string name = absl::StrCat(method, " ", path);
    context_->metrics->OnMethodServed(name);
    Add(method, path, max_request_bytes_,
        [context = context_, name, reading = std::move(reading)](
            HttpRequest request, std::shared_ptr<HttpResponder> responder) {
          HttpGeneration::Start(context, name, std::move(request), std::move(responder), reading);
        });
  }

  // What GET answers with is drawn for it: HEAD would cost as much and show nothing.
  void RefuseHead(const std::string& path, const std::string& allow) {
    routes_.Add({.method = "HEAD",
                 .path = path,
                 .refuse = [allow, context = context_, on_loopback = on_loopback_](
                               const HttpRequest& head) -> std::optional<HttpAnswer> {
                   if (auto foreign = RefuseForeignPage(*context, head, on_loopback))
                     return foreign;
                   HttpAnswer answer = LoggedRefusal(*context, 405, "HEAD draws nothing", &head);
                   answer.head.headers.emplace_back("Allow", allow);
                   return answer;
                 },
                 .handle = nullptr});  // None is left to handle.
  }

  void AddModels() {
    Add("GET", "/v1/models", 0,
        Reading(context_, "GET /v1/models", [context = context_](const HttpRequest&) {
          return OpenAiModels(*context->catalog, context->limits);
        }));
    Add("GET", absl::StrCat(kModelsPath, "*"), 0,
        Reading(context_, "GET /v1/models/*",
                [context = context_](const HttpRequest& request) -> absl::StatusOr<Json> {
                  const auto model = RequestedModel(*context->catalog,
                                                    request.path.substr(sizeof(kModelsPath) - 1));
                  if (!model.ok()) return model.status();
                  return OpenAiModel(**model, context->limits);
                }));
  }

  void AddState(std::function<WorkState()> work) {
    const ServerStateLimits limits = {.trajectories = context_->engine->max_trajectories()};
    const Answer answer = [context = context_, work = std::move(work), limits,
                           start = context_->now()](const HttpRequest&) {
      return ServerStateJson(work(), limits, context->now() - start);
    };
    Add("GET", "/v1/state", 0, Reading(context_, "GET /v1/state", answer, /*polled=*/true));
  }

  void AddProbe(const std::string& path, std::function<bool()> good) {
    Add("GET", path, 0,
        [good = std::move(good)](const HttpRequest&,
                                 const std::shared_ptr<HttpResponder>& responder) {
          responder->Answer(good() ? PlainAnswer(200, "ok") : PlainAnswer(503, "not ready"));
        });
  }

  // Whoever may see the page; what it asks for needs the right to that.
  void AddGallery() {
    for (const EmbeddedFile& file : GalleryFiles()) {
      const std::string path =
          file.name == "index.html" ? "/" : absl::StrCat("/gallery/", file.name);
      Add("GET", path, 0,
          [file](const HttpRequest&, const std::shared_ptr<HttpResponder>& responder) {
            responder->Answer(GalleryAnswer(file));
          });
    }
  }

  // What the API is, for whoever may ask it.
  void AddDescription() {
    Add("GET", "/openapi.json", 0,
        [](const HttpRequest&, const std::shared_ptr<HttpResponder>& responder) {
          responder->Answer(
              {.head = {.content_type = "application/json"}, .body = OpenApiDocument()});
        });
  }

  HttpRoutes Take() { return std::move(routes_); }

 private:
  void Add(const std::string& method, const std::string& path, uint64_t max_body,
           HttpHandler handle) {
    routes_.Add({.method = method,
                 .path = path,
                 .max_body_bytes = max_body,
                 .refuse =
                     [context = context_, on_loopback = on_loopback_](const HttpRequest& head) {
                       return RefuseForeignPage(*context, head, on_loopback);
                     },
                 .handle = std::move(handle)});
  }

  const Context context_;
  const uint64_t max_request_bytes_;
  const bool on_loopback_;
  HttpRoutes routes_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpFront>> HttpFront::Start(Options options, Context context) {
  Routes routes(context, options);
  routes.AddDrawing("POST", "/v1/generate", {.read = ReadJsonRequest});
  routes.AddDrawing("GET", "/v1/generate",
                    {.read =
                         [context](const HttpRequest& request) {
                           return ReadQueryRequest(request, *context->catalog);
                         },
                     .name_of = FlatName});
  routes.RefuseHead("/v1/generate", "GET, POST");
  routes.AddDrawing("POST", "/v1/images/generations",
                    {.read =
                         [context](const HttpRequest& request) {
                           return ReadOpenAiGeneration(request, *context->catalog);
                         },
                     .name_of = OpenAiName});
  routes.AddDrawing("POST", "/v1/images/edits",
                    {.read =
                         [context](const HttpRequest& request) {
                           return ReadOpenAiEdit(request, *context->catalog,
                                                 context->limits.max_picture_side);
                         },
                     .in_turn = true,
                     .name_of = OpenAiName});
  routes.AddModels();
  if (options.work) routes.AddState(options.work);
  routes.AddGallery();
  routes.AddDescription();
  routes.AddProbe("/livez", [] { return true; });
  routes.AddProbe(
      "/readyz", options.ready ? options.ready : [] { return true; });
  const auto rate = std::make_shared<SharedConnectionRate>(options.connection_rate);
  absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Start(
      {.listen = options.listen,
       .limits = options.limits,
       .tls = options.tls,
       .refusal = [context](
                      int status,
                      const std::string& text) { return LoggedRefusal(*context, status, text); },
       .observer = options.observer,
       .refuse_connection = [rate](const std::string& address) { return rate->Judge(address); }},
      routes.Take());
  if (!server.ok()) return server.status();
  return std::unique_ptr<HttpFront>(new HttpFront(*std::move(server)));
}

}  // namespace diffusiond
