#include "server/versions/version_policy.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace diffusiond {
namespace {

using Loaded = ModelSituation::Loaded;
using Kind = VersionAction::Kind;

const Loaded* Serving(const ModelSituation& model) {
  for (const Loaded& loaded : model.loaded) {
    if (loaded.state == Loaded::State::kServing) return &loaded;
  }
  return nullptr;
}

bool IsOnDisk(const ModelSituation& model, int number) {
  return std::binary_search(model.on_disk.begin(), model.on_disk.end(), number);
}

// The best first. A pin, which stands on the disk, binds every server of the repository; a version
// that an operator asked this server for is held only until the disk says otherwise.
std::vector<int> Candidates(const ModelSituation& model) {
  if (model.pinned->has_value()) return {**model.pinned};
  if (model.numbered && model.held.has_value()) return {*model.held};
  const Loaded* const serving = model.numbered ? Serving(model) : nullptr;
  std::vector<int> newest_first;
  for (auto number = model.on_disk.rbegin(); number != model.on_disk.rend(); ++number) {
    // Never back by itself: that would undo what an operator did, or serve what was replaced.
    if (serving == nullptr || *number >= serving->number) newest_first.push_back(*number);
  }
  return newest_first;
}

// Null: it is not loaded, or was from other files than there are now.
const Loaded* FindLoaded(const ModelSituation& model, int number) {
  const auto stamp = model.stamps.find(number);
  const Loaded* found = nullptr;
  for (const Loaded& loaded : model.loaded) {
    const bool is_it = loaded.number == number && loaded.state != Loaded::State::kEnding &&
                       (stamp == model.stamps.end() || loaded.stamp == stamp->second);
    if (!is_it) continue;
    found = &loaded;
    if (loaded.state == Loaded::State::kServing) break;
  }
  return found;
}

// Released, but requests that began on them are still drawn.
int CountDraining(const ModelSituation& model) {
  return static_cast<int>(
      std::count_if(model.loaded.begin(), model.loaded.end(), [](const Loaded& loaded) {
        return loaded.state == Loaded::State::kDraining || loaded.state == Loaded::State::kEnding;
      }));
}

// Serves it, and lets go what was served the longest ago of more than are kept.
std::vector<VersionAction> Serve(const ModelSituation& model, const Loaded& chosen) {
  std::vector<VersionAction> actions = {{Kind::kServe, chosen.number, chosen.copy}};
  int kept = 1;
  for (auto loaded = model.loaded.rbegin(); loaded != model.loaded.rend(); ++loaded) {
    const bool is_kept =
        loaded->state == Loaded::State::kServing || loaded->state == Loaded::State::kKept;
    if (&*loaded == &chosen || !is_kept) continue;
    if (++kept > model.keep) actions.push_back({Kind::kRelease, loaded->number, loaded->copy});
  }
  return actions;
}

// Whether the same files may load another time: what the machine lacked may come back, what the
// files say stays said. Listed by code, so that a new reason is tried again rather than never.
bool MayPass(const absl::Status& reason) {
  switch (reason.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kOutOfRange:
      return false;
    default:
      return true;
  }
}

}  // namespace

VersionChoice ChooseVersion(const ModelSituation& model) {
  VersionChoice choice;
  // A pin that cannot be read may mean any version: what is served stays.
  if (!model.pinned.ok()) {
    choice.status = model.pinned.status();
    choice.problem = VersionProblem{.text = std::string(choice.status.message())};
    return choice;
  }
  for (const int number : Candidates(model)) {
    const auto stamp = model.stamps.find(number);
    const bool on_disk = IsOnDisk(model, number);
    // Files are looked at one version a choice, best first: those that cannot be served any more
    // are never read.
    if (on_disk && stamp == model.stamps.end()) {
      choice.actions = {{Kind::kLook, number}};
      return choice;
    }
    if (const Loaded* const loaded = FindLoaded(model, number); loaded != nullptr) {
      if (loaded->state != Loaded::State::kServing) choice.actions = Serve(model, *loaded);
      return choice;
    }
    if (!on_disk) {
      // Pinned or held, so there is no other candidate.
      choice.problem = VersionProblem{
          .text = absl::StrCat("model ", model.name, " has no version ", number), .number = number};
      choice.status = absl::NotFoundError(choice.problem->text);
      return choice;
    }
    const auto refused = model.refused.find(number);
    if (refused != model.refused.end() && refused->second.stamp == stamp->second &&
        model.now < refused->second.retry) {
      // The next best serves meanwhile, unless that would be a step back (Candidates).
      choice.status.Update(refused->second.reason);
      continue;
    }
    // Each takes the memory of a model: requests that never end must not fill it.
    const int draining = CountDraining(model);
    if (draining >= kMaxDrainingVersions) {
      choice.problem = VersionProblem{
          .text = absl::StrCat("model ", model.name, ": requests still run on ", draining,
                               " older versions, so version ", number, " waits"),
          .number = number,
          .waits = true};
      choice.status.Update(absl::ResourceExhaustedError(choice.problem->text));
      return choice;
    }
    choice.actions = {{Kind::kLoad, number}};
    return choice;
  }
  return choice;
}

bool IsSameRefusal(const VersionRefusal& a, const VersionRefusal& b) {
  return a.stamp == b.stamp && a.reason == b.reason;
}

VersionRefusal RefuseVersion(const VersionRefusal* before, const std::string& stamp,
                             const absl::Status& reason, absl::Time now) {
  VersionRefusal refusal{.stamp = stamp, .reason = reason};
  if (!MayPass(reason)) return refusal;
  const bool again = before != nullptr && IsSameRefusal(*before, refusal);
  refusal.put_off = again ? std::min(2 * before->put_off, kLongestRetry) : kFirstRetry;
  refusal.retry = now + refusal.put_off;
  return refusal;
}

absl::StatusOr<int> VersionBefore(const ModelSituation& model, int before) {
  const Loaded* const serving = Serving(model);
  if (serving == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("model ", model.name, " serves no version that there is one before"));
  }
  const int current = serving->number;
  if (IsOnDisk(model, before) && before < current) return before;
  const auto above = std::lower_bound(model.on_disk.begin(), model.on_disk.end(), current);
  if (above == model.on_disk.begin()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "model ", model.name, " has no version before the one that is served, ", current));
  }
  return *(above - 1);
}

}  // namespace diffusiond
