// What gRPC itself says of calls.
#ifndef DIFFUSIOND_SERVER_GRPC_LOG_H_
#define DIFFUSIOND_SERVER_GRPC_LOG_H_

#include "server/rpc/call_log.h"

namespace diffusiond {

// gRPC tells on standard error of each call whose headers it refuses (a compression that is not
// taken, a path that is none), which anybody can send. While this object lives its errors go
// through a CallLog, as refusals of code "gRPC"; what GRPC_VERBOSITY asks for beside them is
// written as it comes. One object a process at a time. Thread-safe.
class GrpcLog {
 public:
  explicit GrpcLog(CallLog::Options options);
  GrpcLog(const GrpcLog&) = delete;
  GrpcLog& operator=(const GrpcLog&) = delete;
  ~GrpcLog();  // gRPC logs by itself again.

 private:
  CallLog log_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_GRPC_LOG_H_
