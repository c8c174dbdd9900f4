#include "model/http/http_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "model/http/event_loop.h"
#include "model/http/http_connection.h"
#include "model/process/listening_sockets.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Connections taken in a row before others have their turn.
constexpr int kMaxAccepts = 64;
// After the process had no descriptor left.
constexpr absl::Duration kDescriptorPause = absl::Milliseconds(100);
// What the kernel holds for a reader and has not sent: more would be pieces that a stream's maker
// believes to be on their way.
constexpr int kMaxUnsentInKernel = 64 << 10;

bool LacksDescriptors(int fault) {
  return fault == EMFILE || fault == ENFILE || fault == ENOBUFS || fault == ENOMEM;
}

void SetUp(int descriptor) {
  const int yes = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  setsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kMaxUnsentInKernel,
             sizeof(kMaxUnsentInKernel));
}

}  // namespace

// All connections, and what they come through.
class HttpServer::Room {
 public:
  Room(const Options& options, HttpRoutes routes)
      : tls_(options.tls),
        refuse_connection_(options.refuse_connection),
        service_(new HttpService{
            .limits = options.limits,
            .routes = std::move(routes),
            .refusal = options.refusal,
            .observer = options.observer ? options.observer : std::make_shared<HttpObserver>(),
            .table = ConnectionTable(options.limits.max_connections,
                                     options.limits.max_connections_per_address)}),
        loop_(options.threads) {}
  ~Room() { Drain(absl::ZeroDuration()); }

  // nullptr: nothing to serve with.
  absl::StatusOr<std::shared_ptr<ssl_ctx_st>> TlsContext() {
    std::shared_ptr<const TlsIdentity> identity = tls_();
    if (identity == nullptr) return absl::InvalidArgumentError("no identity to serve TLS with");
    absl::MutexLock lock(&mutex_);
    if (identity != identity_) {
      ASSIGN_OR_RETURN(context_, MakeTlsContext(*identity));
      identity_ = std::move(identity);
    }
    return context_;
  }

  void Listen(const ListeningSockets& sockets) {
    for (const int descriptor : sockets.descriptors) {
      std::shared_ptr<WatchedSocket> listener = loop_.Watch(descriptor);
      if (listener == nullptr) continue;
      listeners_.push_back(listener);
      WatchedSocket* const raw = listener.get();
      listener->Post([this, raw] {
        raw->OnDeadline([this, raw] { Accept(raw); });
        Accept(raw);
      });
    }
  }

  void Leave() { service_->leaving = true; }
  void CloseIdle() {
    for (const auto& connection : service_->table.All()) connection->Drain();
  }
  int CountOpen() const { return service_->table.Count(); }

  void Drain(absl::Duration limit) {
    Leave();
    service_->draining = true;
    StopListening();
    CloseIdle();
    if (service_->table.AwaitEmpty(limit)) return;
    for (const auto& connection : service_->table.All()) connection->Cut();
    service_->table.AwaitEmpty(absl::InfiniteDuration());
  }

 private:
  void StopListening() {
    for (const std::shared_ptr<WatchedSocket>& listener : std::exchange(listeners_, {})) {
      absl::Notification closed;
      listener->Post([&] {
        listener->Close();
        closed.Notify();
      });
      closed.WaitForNotification();
    }
  }

  // On the listener's callbacks.
  void Accept(WatchedSocket* listener) {
    for (int accepts = 0; accepts < kMaxAccepts; ++accepts) {
      sockaddr_storage address = {};
      socklen_t size = sizeof(address);
      const int descriptor = accept4(listener->descriptor(), reinterpret_cast<sockaddr*>(&address),
                                     &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (descriptor >= 0) {
        Admit(descriptor, address);
      } else if (LacksDescriptors(errno)) {
        service_->observer->OnConnectionRefused(HttpRefusal::kDescriptors);
        if (const auto evicted = service_->table.EvictOne()) evicted->Evict();
        listener->SetDeadline(kDescriptorPause);
        return;
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        break;
      }
    }
    listener->AwaitReadable([this, listener] { Accept(listener); });
  }

  void Admit(int descriptor, const sockaddr_storage& address) {
    const std::string host = HostOf(address);
    // Before the table: who is refused here makes nobody else leave.
    if (refuse_connection_) {
      if (const std::optional<HttpRefusal> refusal = refuse_connection_(host)) {
        service_->observer->OnConnectionRefused(*refusal);
        return ResetConnection(descriptor);
      }
    }
    const ConnectionTable::Admission admission = service_->table.Admit(host);
    if (admission.evicted != nullptr) admission.evicted->Evict();
    if (admission.refused_by != ConnectionTable::Limit::kNone) {
      return Refuse(descriptor, admission.refused_by);
    }
    SetUp(descriptor);
    std::unique_ptr<HttpTransport> transport = TransportOf(descriptor);
    std::shared_ptr<WatchedSocket> socket = loop_.Watch(descriptor);
    if (transport == nullptr || socket == nullptr) {
      service_->observer->OnConnectionRefused(transport == nullptr ? HttpRefusal::kTls
                                                                   : HttpRefusal::kDescriptors);
      return service_->table.Remove(admission.id);
    }
    const auto connection = std::make_shared<HttpConnection>(
        service_, std::move(socket), std::move(transport), PeerOf(address), admission.id);
    if (service_->table.Attach(admission.id, connection)) connection->Start();
  }

  std::unique_ptr<HttpTransport> TransportOf(int descriptor) {
    if (!tls_) return PlainTransport(descriptor);
    const absl::StatusOr<std::shared_ptr<ssl_ctx_st>> context = TlsContext();
    return context.ok() ? TlsTransport(descriptor, *context) : nullptr;
  }

  // As well as it can be said without waiting for the client to ask.
  void Refuse(int descriptor, ConnectionTable::Limit limit) {
    const bool of_address = limit == ConnectionTable::Limit::kConnectionsOfAddress;
    service_->observer->OnConnectionRefused(of_address ? HttpRefusal::kConnectionsOfAddress
                                                       : HttpRefusal::kConnections);
    if (!tls_) {
      HttpAnswer answer = service_->refusal(503, "too many connections");
      const std::string text =
          WrittenHead(answer.head, absl::StrCat("Content-Length: ", answer.body.size(),
                                                "\r\nConnection: close\r\n")) +
          answer.body;
      send(descriptor, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      shutdown(descriptor, SHUT_WR);
      DiscardInput(descriptor);
    }
    close(descriptor);
  }

  const TlsIdentitySource tls_;
  const std::function<std::optional<HttpRefusal>(const std::string& address)> refuse_connection_;
  absl::Mutex mutex_;
  std::shared_ptr<const TlsIdentity> identity_ ABSL_GUARDED_BY(mutex_);  // Whose context it is.
  std::shared_ptr<ssl_ctx_st> context_ ABSL_GUARDED_BY(mutex_);
  const std::shared_ptr<HttpService> service_;
  EventLoop loop_;
  std::vector<std::shared_ptr<WatchedSocket>> listeners_;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(Options options, HttpRoutes routes) {
  auto room = std::make_unique<Room>(options, std::move(routes));
  if (options.tls) RETURN_IF_ERROR(room->TlsContext().status());
  ASSIGN_OR_RETURN(const ListeningSockets sockets, ListenOn(options.listen));
  room->Listen(sockets);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(room), sockets.port));
}

HttpServer::HttpServer(std::unique_ptr<Room> room, int port)
    : room_(std::move(room)), port_(port) {}

HttpServer::~HttpServer() = default;

void HttpServer::Leave() { room_->Leave(); }

void HttpServer::CloseIdle() { room_->CloseIdle(); }

int HttpServer::CountOpen() const { return room_->CountOpen(); }

void HttpServer::Drain(absl::Duration limit) { room_->Drain(limit); }

}  // namespace diffusiond
