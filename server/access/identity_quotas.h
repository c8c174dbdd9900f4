// What identities have of their limits just now.
#ifndef DIFFUSIOND_SERVER_ACCESS_IDENTITY_QUOTAS_H_
#define DIFFUSIOND_SERVER_ACCESS_IDENTITY_QUOTAS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/access/access_list.h"

namespace diffusiond {

// Thread-safe. Identities are told apart by name, so that what one has counts on when the access
// file is read again. Holds may outlive this.
class IdentityQuotas {
  struct State;

 public:
  // Of one request; gives back what it has at once when it goes.
  using Hold = std::shared_ptr<const void>;

  // The images of a minute that a request takes. Gives them back when it goes, unless it was kept.
  class Charge {
   public:
    Charge(std::shared_ptr<State> state, std::string identity, int images)
        : state_(std::move(state)), identity_(std::move(identity)), images_(images) {}
    ~Charge();
    Charge(const Charge&) = delete;
    Charge& operator=(const Charge&) = delete;

    void Keep() { kept_ = true; }

   private:
    const std::shared_ptr<State> state_;
    const std::string identity_;
    const int images_;
    bool kept_ = false;
  };

  struct Taken {
    Hold hold;
    std::unique_ptr<Charge> charge;  // Never null. To be kept if the request is admitted.
  };

  explicit IdentityQuotas(std::function<absl::Time()> now) : now_(std::move(now)) {}

  // A Refusal: not now. RESOURCE_EXHAUSTED, but none: `images` are more than the limits ever allow.
  // Images that were admitted count for their minute, whatever becomes of them: a bucket of
  // images_per_minute places fills up evenly.
  absl::StatusOr<Taken> Take(const AccessIdentity& identity, int images);

  // Identities of which something is remembered.
  size_t known() const;

 private:
  struct Used {
    int requests = 0;
    int images = 0;
    double spent = 0;  // Of the minute's images, at `at`.
    absl::Time at = absl::InfinitePast();
  };
  struct State {
    absl::Mutex mu;
    std::map<std::string, Used> used ABSL_GUARDED_BY(mu);  // By identity.
  };

  // Forgets who has nothing; what is kept has no end but the access file's.
  static void ForgetIdle(absl::Time now, State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu);

  const std::function<absl::Time()> now_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ACCESS_IDENTITY_QUOTAS_H_
