// A network that goes wrong when the test says so.
#ifndef DIFFUSIOND_TESTS_TESTING_FAULTY_DENOISER_H_
#define DIFFUSIOND_TESTS_TESTING_FAULTY_DENOISER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "model/sampling/denoiser.h"

namespace diffusiond {

enum class Fault {
  kNone,
  kStatus,       // INTERNAL.
  kThrow,        // std::runtime_error.
  kOutOfMemory,  // std::bad_alloc.
  kNan,          // OK, with NaN in every row.
  kHang,         // Until FaultScript::Release; then the call goes on as if nothing had been.
};

// Which calls go wrong, counted from 1 over all denoisers that share the script: one that is built
// after a fault goes on where the last one was. Thread-safe.
class FaultScript {
 public:
  explicit FaultScript(std::map<int64_t, Fault> faults) : faults_(std::move(faults)) {}

  // Waits until this many calls hang or have hung.
  void AwaitHangs(int count) const ABSL_LOCKS_EXCLUDED(mu_);
  // Lets what hangs go on, and does not let anything hang from now on.
  void Release() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until every denoiser of this script is gone: threads that hung have ended.
  void AwaitNoDenoisers() const ABSL_LOCKS_EXCLUDED(mu_);
  // Faults that came to pass.
  int struck() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  friend class FaultyDenoiser;
  Fault Next() ABSL_LOCKS_EXCLUDED(mu_);
  void HangUntilReleased() ABSL_LOCKS_EXCLUDED(mu_);
  void CountDenoisers(int change) ABSL_LOCKS_EXCLUDED(mu_);

  const std::map<int64_t, Fault> faults_;  // By call.
  mutable absl::Mutex mu_;
  int64_t calls_ ABSL_GUARDED_BY(mu_) = 0;
  int struck_ ABSL_GUARDED_BY(mu_) = 0;
  int hangs_ ABSL_GUARDED_BY(mu_) = 0;
  int denoisers_ ABSL_GUARDED_BY(mu_) = 0;
  bool released_ ABSL_GUARDED_BY(mu_) = false;
};

// Any denoiser, with the script's faults.
class FaultyDenoiser : public Denoiser {
 public:
  FaultyDenoiser(std::unique_ptr<Denoiser> inner, std::shared_ptr<FaultScript> script);
  ~FaultyDenoiser() override;

  ImageShape shape() const override { return inner_->shape(); }
  int micro_batch() const override { return inner_->micro_batch(); }
  int capacity() const override { return inner_->capacity(); }
  int output_channels() const override { return inner_->output_channels(); }
  absl::Status Predict(std::span<const float> x, std::span<const float> timesteps,
                       std::span<const int64_t> labels, std::span<float> f) override;

 private:
  std::unique_ptr<Denoiser> inner_;
  const std::shared_ptr<FaultScript> script_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_FAULTY_DENOISER_H_
