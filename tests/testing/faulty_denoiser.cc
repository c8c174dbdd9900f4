#include "tests/testing/faulty_denoiser.h"

#include <algorithm>
#include <limits>
#include <new>
#include <stdexcept>

namespace diffusiond {

void FaultScript::AwaitHangs(int count) const {
  absl::MutexLock lock(&mu_);
  const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return hangs_ >= count; };
  mu_.Await(absl::Condition(&enough));
}

void FaultScript::Release() {
  absl::MutexLock lock(&mu_);
  released_ = true;
}

void FaultScript::AwaitNoDenoisers() const {
  absl::MutexLock lock(&mu_);
  const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return denoisers_ == 0; };
  mu_.Await(absl::Condition(&none));
}

int FaultScript::struck() const {
  absl::MutexLock lock(&mu_);
  return struck_;
}

Fault FaultScript::Next() {
  absl::MutexLock lock(&mu_);
  const auto found = faults_.find(++calls_);
  if (found == faults_.end() || found->second == Fault::kNone) return Fault::kNone;
  ++struck_;
  return found->second;
}

void FaultScript::HangUntilReleased() {
  absl::MutexLock lock(&mu_);
  ++hangs_;
  mu_.Await(absl::Condition(&released_));
}

void FaultScript::CountDenoisers(int change) {
  absl::MutexLock lock(&mu_);
  denoisers_ += change;
}

FaultyDenoiser::FaultyDenoiser(std::unique_ptr<Denoiser> inner, std::shared_ptr<FaultScript> script)
    : inner_(std::move(inner)), script_(std::move(script)) {
  script_->CountDenoisers(1);
}

FaultyDenoiser::~FaultyDenoiser() {
  inner_.reset();
  script_->CountDenoisers(-1);
}

absl::Status FaultyDenoiser::Predict(std::span<const float> x, std::span<const float> timesteps,
                                     std::span<const int64_t> labels, std::span<float> f) {
  switch (script_->Next()) {
    case Fault::kNone:
      break;
    case Fault::kStatus:
      return absl::InternalError("device lost");
    case Fault::kThrow:
      throw std::runtime_error("device lost");
    case Fault::kOutOfMemory:
      throw std::bad_alloc();
    case Fault::kNan:
      std::fill(f.begin(), f.end(), std::numeric_limits<float>::quiet_NaN());
      return absl::OkStatus();
    case Fault::kHang:
      script_->HangUntilReleased();
      break;
  }
  return inner_->Predict(x, timesteps, labels, f);
}

}  // namespace diffusiond
