#include "server/rpc/counted_calls.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpc/grpc.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_interceptor.h"

namespace diffusiond {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::ServerRpcInfo;

bool IsRefusedHere(absl::string_view method) {
  return absl::StartsWith(method, "/grpc.") && method != "/grpc.health.v1.Health/Check";
}

// Of one call; goes with its context.
class CountedCall final : public grpc::experimental::Interceptor {
 public:
  CountedCall(std::shared_ptr<ConnectionBook> book, ConnectionMetrics* metrics, ServerRpcInfo* info)
      : book_(std::move(book)), metrics_(metrics), info_(info) {}
  ~CountedCall() override { book_->EndCall(connection_); }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      Begin();
    }
    methods->Proceed();
  }

 private:
  void Begin() {
    grpc::ServerContextBase* const rpc = info_->server_context();
    const std::string peer = rpc->peer();
    connection_ = book_->BeginCall(peer);
    if (!IsRefusedHere(info_->method())) return;
    const char* const limit = book_->CallLimitPassed(peer);
    if (limit == nullptr) return;
    // As it has no headers yet, its client gets this status, whatever its method makes of it.
    grpc_call_cancel_with_status(rpc->c_call(), GRPC_STATUS_RESOURCE_EXHAUSTED,
                                 CallLimitMessage(limit).c_str(), nullptr);
    if (metrics_ != nullptr) metrics_->OnCallRefused(limit);
  }

  const std::shared_ptr<ConnectionBook> book_;
  ConnectionMetrics* const metrics_;
  ServerRpcInfo* const info_;
  std::shared_ptr<ConnectionBook::Connection> connection_;
};

class CountedCalls final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  CountedCalls(std::shared_ptr<ConnectionBook> book, ConnectionMetrics* metrics)
      : book_(std::move(book)), metrics_(metrics) {}

  // gRPC owns it.
  grpc::experimental::Interceptor* CreateServerInterceptor(ServerRpcInfo* info) override {
    return new CountedCall(book_, metrics_, info);
  }

 private:
  const std::shared_ptr<ConnectionBook> book_;
  ConnectionMetrics* const metrics_;
};

}  // namespace

void CountCalls(std::shared_ptr<ConnectionBook> book, ConnectionMetrics* metrics,
                grpc::ServerBuilder* builder) {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> all;
  all.push_back(std::make_unique<CountedCalls>(std::move(book), metrics));
  builder->experimental().SetInterceptorCreators(std::move(all));
}

std::string CallLimitMessage(const char* limit) {
  return absl::StrCat("too many calls are open (", limit, ")");
}

}  // namespace diffusiond
