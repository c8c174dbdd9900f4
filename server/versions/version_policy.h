// Which version of a model is served, loaded and let go: a function of what there is.
//
//   serving ----------> kept (--keep_versions) ----------> draining ----------> unloaded
//      a newer one is swapped in      one more is swapped in      its last request ends
//
// Pure: no thread, no files, no clock. Whoever carries the actions out asks again after them, until
// there are none.
#ifndef DIFFUSIOND_SERVER_VERSIONS_VERSION_POLICY_H_
#define DIFFUSIOND_SERVER_VERSIONS_VERSION_POLICY_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace diffusiond {

// Old versions of one model that wait for their last requests, beside those that are kept. The next
// swap waits while there are more.
inline constexpr int kMaxDrainingVersions = 3;

// Between two tries of a version that was refused for what may pass; doubled from one to the next.
inline constexpr absl::Duration kFirstRetry = absl::Seconds(30);
inline constexpr absl::Duration kLongestRetry = absl::Minutes(10);

// Why a version was not loaded.
struct VersionRefusal {
  std::string stamp = {};  // Of its files then.
  absl::Status reason = {};
  // Of what may pass without a change of files, a device out of memory or a permission: when it is
  // tried again, and how long that was put off. Infinite: not before its files change.
  absl::Time retry = absl::InfiniteFuture();
  absl::Duration put_off = absl::ZeroDuration();
};

// All that is known of one model.
struct ModelSituation {
  struct Loaded {
    enum class State {
      kServing,   // New requests get it; at most one.
      kKept,      // Nobody gets it who does not ask for it.
      kDraining,  // Waits for its last request, and can be served again.
      kEnding,    // Has had it, and is about to be unloaded.
    };
    int number = 0;
    int copy = 0;  // Tells apart what was loaded of one number.
    std::string stamp = {};
    State state = State::kKept;
  };

  std::string name;

  bool numbered = true;
  std::vector<int> on_disk = {};           // Ascending; {0} if not numbered.
  std::map<int, std::string> stamps = {};  // Of the files of those that were looked at.
  absl::StatusOr<std::optional<int>> pinned = std::nullopt;  // Not OK: the pin cannot be read.

  std::vector<Loaded> loaded = {};  // The latest served last.

  std::optional<int> held = std::nullopt;  // By operators, of this server.
  int keep = 1;                            // Loaded, the serving one included.

  std::map<int, VersionRefusal> refused = {};
  absl::Time now = absl::InfinitePast();
};

struct VersionAction {
  enum class Kind {
    kLook,     // Finds out the stamp of this version's files.
    kLoad,     // From its files. Where that fails it is refused.
    kServe,    // A loaded one: new requests get it from now on.
    kRelease,  // With the kServe before it: is kept no more.
  };
  Kind kind = Kind::kLook;
  int number = 0;
  int copy = 0;  // For kServe and kRelease.

  friend bool operator==(const VersionAction&, const VersionAction&) = default;
};

// What keeps a model from the version that it should have, beside versions that were refused.
struct VersionProblem {
  std::string text;
  int number = 0;      // Of the version it is about; 0: none.
  bool waits = false;  // For an old version to end; by itself it is over then.
};

struct VersionChoice {
  // To be carried out in order, all as one, before the next choice. Empty: nothing is left to do.
  std::vector<VersionAction> actions = {};
  // Once nothing is left to do. OK: the model has the version that it should have; else the first
  // reason why not.
  absl::Status status = {};
  std::optional<VersionProblem> problem = std::nullopt;
};

// A pinned version goes before a held one, that before the newest that is good. Without pin and
// hold never to a lower number than the one that is served.
VersionChoice ChooseVersion(const ModelSituation& model);

// Of a version that could not be loaded from files of this stamp; `before`: its last refusal, or
// null. For the same again the next try is put off longer.
VersionRefusal RefuseVersion(const VersionRefusal* before, const std::string& stamp,
                             const absl::Status& reason, absl::Time now);

// Whether the same was refused for the same reason before.
bool IsSameRefusal(const VersionRefusal& a, const VersionRefusal& b);

// What a rollback goes to that names no version: `before`, the one that was served before, where it
// is there and lower than the one that is served; else the next lower one there is.
// FAILED_PRECONDITION: there is none.
absl::StatusOr<int> VersionBefore(const ModelSituation& model, int before);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_VERSIONS_VERSION_POLICY_H_
