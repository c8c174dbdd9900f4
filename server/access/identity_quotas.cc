#include "server/access/identity_quotas.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"
#include "server/engine/refusal.h"

namespace diffusiond {
namespace {

// What runs ends within seconds, mostly; when is not known here.
constexpr absl::Duration kRetry = absl::Seconds(1);

absl::Status TooMany(const AccessIdentity& identity, absl::string_view limit, int most,
                     absl::Duration retry) {
  return Refusal(RefusalReason::kIdentityLimit,
                 absl::StrCat("identity ", Quoted(identity.name), " may have ", most, " ", limit,
                              ", and has them"),
                 retry);
}

absl::Status CheckEver(const AccessIdentity& identity, absl::string_view limit,
                       std::optional<int> most, int images) {
  if (!most.has_value() || images <= *most) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("identity ", Quoted(identity.name), " may have ",
                                                   *most, " ", limit, ", and asks for ", images,
                                                   " at once"));
}

constexpr char kRequests[] = "requests in flight";
constexpr char kImages[] = "images waiting";
constexpr char kPerMinute[] = "images a minute";

}  // namespace

IdentityQuotas::Charge::~Charge() {
  if (kept_) return;
  absl::MutexLock lock(&state_->mu);
  const auto used = state_->used.find(identity_);
  if (used == state_->used.end()) return;
  used->second.spent = std::max(0.0, used->second.spent - images_);
}

absl::StatusOr<IdentityQuotas::Taken> IdentityQuotas::Take(const AccessIdentity& identity,
                                                           int images) {
  const IdentityLimits& limits = identity.limits;
  RETURN_IF_ERROR(CheckEver(identity, kImages, limits.images_waiting, images));
  RETURN_IF_ERROR(CheckEver(identity, kPerMinute, limits.images_per_minute, images));

  const absl::Time now = now_();
  absl::MutexLock lock(&state_->mu);
  if (state_->used.size() >= 2 * AccessList::kMaxIdentities) ForgetIdle(now, *state_);
  Used& used = state_->used[identity.name];
  int charged = 0;
  if (limits.requests_in_flight.has_value() && used.requests >= *limits.requests_in_flight) {
    return TooMany(identity, kRequests, *limits.requests_in_flight, kRetry);
  }
  if (limits.images_waiting.has_value() && used.images + images > *limits.images_waiting) {
    return TooMany(identity, kImages, *limits.images_waiting, kRetry);
  }
  if (limits.images_per_minute.has_value()) {
    const double a_second = *limits.images_per_minute / 60.0;
    const double regained = absl::ToDoubleSeconds(std::max(now - used.at, absl::ZeroDuration()));
    // More than the limit was spent under a higher one.
    const double spent = std::min<double>(used.spent, *limits.images_per_minute);
    used.spent = std::max(0.0, spent - regained * a_second);
    used.at = now;
    const double lacking = used.spent + images - *limits.images_per_minute;
    if (lacking > 0) {
      return TooMany(identity, kPerMinute, *limits.images_per_minute,
                     absl::Seconds(lacking / a_second));
    }
    used.spent += images;
    charged = images;
  }
  ++used.requests;
  used.images += images;
  Hold hold(static_cast<const void*>(&used),
            [state = state_, name = identity.name, images](const void*) {
              absl::MutexLock lock(&state->mu);
              Used& used = state->used[name];
              --used.requests;
              used.images -= images;
            });
  return Taken{.hold = std::move(hold),
               .charge = std::make_unique<Charge>(state_, identity.name, charged)};
}

size_t IdentityQuotas::known() const {
  absl::MutexLock lock(&state_->mu);
  return state_->used.size();
}

void IdentityQuotas::ForgetIdle(absl::Time now, State& state) {
  constexpr absl::Duration kWholeBucket = absl::Minutes(1);
  for (auto used = state.used.begin(); used != state.used.end();) {
    const bool idle = used->second.requests == 0 && now - used->second.at >= kWholeBucket;
    used = idle ? state.used.erase(used) : std::next(used);
  }
}

}  // namespace diffusiond
