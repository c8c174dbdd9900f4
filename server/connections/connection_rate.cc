#include "server/connections/connection_rate.h"

#include <algorithm>
#include <utility>

namespace diffusiond {

ConnectionRate::ConnectionRate(Limits limits, std::function<absl::Time()> now)
    : limits_(limits), now_(std::move(now)), all_(Full(limits.total, now_())), swept_(now_()) {}

ConnectionRate::Verdict ConnectionRate::Take(const std::string& address) {
  const absl::Time now = now_();
  ForgetFull(now);
  Fill(limits_.total, now, all_);
  const auto found = by_address_.find(address);
  Bucket own = found != by_address_.end() ? found->second : Full(limits_.per_address, now);
  Fill(limits_.per_address, now, own);
  if (own.tokens < 1) return Verdict::kTooManyOfAddress;
  if (all_.tokens < 1) return Verdict::kTooMany;
  --all_.tokens;
  --own.tokens;
  by_address_[address] = own;
  return Verdict::kTaken;
}

ConnectionRate::Bucket ConnectionRate::Full(int rate, absl::Time now) {
  return {.tokens = rate * absl::ToDoubleSeconds(kBurst), .filled = now};
}

void ConnectionRate::Fill(int rate, absl::Time now, Bucket& bucket) {
  // A clock that was put back fills nothing, and goes on from there.
  const absl::Duration passed = std::max(absl::ZeroDuration(), now - bucket.filled);
  bucket.tokens = std::min(bucket.tokens + rate * absl::ToDoubleSeconds(passed),
                           rate * absl::ToDoubleSeconds(kBurst));
  bucket.filled = now;
}

void ConnectionRate::ForgetFull(absl::Time now) {
  if (now >= swept_ && now - swept_ < kBurst) return;
  swept_ = now;
  std::erase_if(by_address_, [now](const auto& entry) {
    const absl::Duration idle = now - entry.second.filled;
    return idle >= kBurst || idle < absl::ZeroDuration();
  });
}

}  // namespace diffusiond
