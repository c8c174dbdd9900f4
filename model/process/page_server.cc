#include "model/process/page_server.h"

#include <microhttpd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <list>
#include <utility>

#include "absl/strings/string_view.h"
#include "model/process/listening_sockets.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Those that were told to go and are not gone yet count, too; the library takes no new ones above
// its own limit.
constexpr int kMaxClosingConnections = 64;
// A request's line and headers.
constexpr size_t kMaxRequestBytes = 8 << 10;

MHD_Result Respond(MHD_Connection* connection, unsigned status, const std::string& text,
                   const std::string& content_type) {
  MHD_Response* const response = MHD_create_response_from_buffer(
      text.size(), const_cast<char*>(text.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type.c_str());
  if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  }
  const MHD_Result queued = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return queued;
}

int DescriptorOf(MHD_Connection* connection) {
  return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

}  // namespace

// All but construction and destruction is the library's thread's.
struct PageServer::Daemon {
  explicit Daemon(Options wanted) : options(std::move(wanted)) {}
  ~Daemon() {
    if (library != nullptr) MHD_stop_daemon(library);
  }

  MHD_Result Answer(MHD_Connection* connection, absl::string_view url, absl::string_view method,
                    void** seen) {
    static constexpr char kPlain[] = "text/plain; charset=utf-8";
    if (url != options.path) {
      return Respond(connection, MHD_HTTP_NOT_FOUND, "the page is " + options.path + "\n", kPlain);
    }
    if (method != MHD_HTTP_METHOD_GET && method != MHD_HTTP_METHOD_HEAD) {
      return Respond(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n", kPlain);
    }
    // The library calls once for the headers and once for the end of the request.
    if (*seen == nullptr) {
      *seen = this;
      return MHD_YES;
    }
    open.remove(connection);
    open.push_back(connection);
    return Respond(connection, MHD_HTTP_OK, options.page(), options.content_type);
  }

  void OnOpened(MHD_Connection* connection) {
    open.push_back(connection);
    if (open.size() <= static_cast<size_t>(options.max_connections)) return;
    shutdown(DescriptorOf(open.front()), SHUT_RDWR);  // The library sees an end.
    open.pop_front();
  }

  const Options options;
  // Those that may be closed for others, the longest without a request first.
  std::list<MHD_Connection*> open;
  MHD_Daemon* library = nullptr;
};

absl::StatusOr<std::unique_ptr<PageServer>> PageServer::Start(Options options) {
  ASSIGN_OR_RETURN(const ListeningSockets sockets, ListenOn(options.listen));
  // The library takes one. A name with several addresses is served at its first.
  const int socket = sockets.descriptors.front();
  for (const int other : sockets.descriptors) {
    if (other != socket) close(other);
  }
  auto daemon = std::make_unique<Daemon>(std::move(options));
  const MHD_AccessHandlerCallback answer = [](void* self, MHD_Connection* connection,
                                              const char* url, const char* method, const char*,
                                              const char*, size_t*, void** seen) {
    return static_cast<Daemon*>(self)->Answer(connection, url, method, seen);
  };
  const MHD_NotifyConnectionCallback notify = [](void* self, MHD_Connection* connection, void**,
                                                 MHD_ConnectionNotificationCode code) {
    auto* const daemon = static_cast<Daemon*>(self);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) daemon->OnOpened(connection);
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) daemon->open.remove(connection);
  };
  daemon->library = MHD_start_daemon(
      MHD_USE_AUTO_INTERNAL_THREAD, 0, nullptr, nullptr, answer, daemon.get(),
      MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_CONNECTION_LIMIT,
      static_cast<unsigned>(daemon->options.max_connections + kMaxClosingConnections),
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, kMaxRequestBytes, MHD_OPTION_CONNECTION_TIMEOUT,
      static_cast<unsigned>(absl::ToInt64Seconds(daemon->options.idle_timeout)),
      MHD_OPTION_NOTIFY_CONNECTION, notify, daemon.get(), MHD_OPTION_END);
  if (daemon->library == nullptr) {
    close(socket);
    return absl::UnavailableError("cannot start a thread for '" + daemon->options.listen + "'");
  }
  return std::unique_ptr<PageServer>(new PageServer(std::move(daemon), sockets.port));
}

PageServer::PageServer(std::unique_ptr<Daemon> daemon, int port)
    : daemon_(std::move(daemon)), port_(port) {}

PageServer::~PageServer() = default;

}  // namespace diffusiond
