// One Generate call of a load: counts what comes and keeps nothing of it.
#ifndef DIFFUSIOND_CLIENT_LOAD_LOAD_STREAM_H_
#define DIFFUSIOND_CLIENT_LOAD_LOAD_STREAM_H_

#include <cstdint>
#include <functional>

#include "absl/time/time.h"
#include "client/load/load_mix.h"
#include "client/load/load_record.h"
#include "diffusiond/v1/diffusion.grpc.pb.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"

namespace diffusiond {

// Lives on gRPC's threads from Start until `on_done`, which comes exactly once and may destroy the
// stream. The record is written until then and may be read afterwards.
class LoadStream : public grpc::ClientReadReactor<v1::GenerateEvent> {
 public:
  // Seconds from the start of the run. Thread-safe.
  using Clock = std::function<double()>;
  // `whole`: nothing was missing from a stream that ended with OK.
  using DoneCallback = std::function<void(const grpc::Status& status, bool whole)>;

  LoadStream(Clock clock, LoadRecord* record, DoneCallback on_done);

  // `time_left`: until the deadline; infinite: none.
  void Start(const LoadEntry& entry, uint64_t seed, absl::Duration time_left,
             v1::DiffusionService::Stub& stub);

  // Any number of times after Start, from any thread. May run on_done before it returns.
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  void Count(const v1::GenerateEvent& event);

  const Clock clock_;
  LoadRecord* const record_;
  DoneCallback on_done_;
  grpc::ClientContext context_;
  v1::GenerateRequest request_;
  v1::GenerateEvent event_;
  uint32_t images_announced_ = 0;
  bool completed_ = false;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_LOAD_LOAD_STREAM_H_
