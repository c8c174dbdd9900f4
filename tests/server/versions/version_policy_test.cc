#include "server/versions/version_policy.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using Loaded = ModelSituation::Loaded;
using State = ModelSituation::Loaded::State;

constexpr char kStamp[] = "stamp";

// "serve 3", "release 2~1".
std::string Shown(const std::vector<VersionAction>& actions) {
  static constexpr const char* kNames[] = {"look", "load", "serve", "release"};
  return absl::StrJoin(actions, ", ", [](std::string* text, const VersionAction& action) {
    absl::StrAppend(text, kNames[static_cast<int>(action.kind)], " ", action.number,
                    action.copy > 0 ? absl::StrCat("~", action.copy) : "");
  });
}

// Whose files were all looked at.
ModelSituation OnDisk(std::vector<int> numbers) {
  ModelSituation model;
  model.name = "mine";
  for (const int number : numbers) model.stamps[number] = kStamp;
  model.on_disk = std::move(numbers);
  model.now = absl::UnixEpoch();
  return model;
}

Loaded Of(int number, State state, int copy = 0, const std::string& stamp = kStamp) {
  return {.number = number, .copy = copy, .stamp = stamp, .state = state};
}

VersionRefusal Refused(absl::Time retry = absl::InfiniteFuture()) {
  return {.stamp = kStamp, .reason = absl::DataLossError("cut short"), .retry = retry};
}

struct Case {
  const char* name;
  ModelSituation model;
  std::string actions;  // Empty: nothing is left to do.
  absl::StatusCode status = absl::StatusCode::kOk;
  std::string problem = {};
};

ModelSituation With(ModelSituation model, const std::function<void(ModelSituation&)>& change) {
  change(model);
  return model;
}

// A table by topics.
class CaseTable {
 public:
  CaseTable() {
    AddTargets();
    AddPinAndHold();
    AddFailures();
    AddDrains();
    AddKept();
  }
  std::vector<Case> cases;

 private:
  using M = ModelSituation;

  void Add(const char* name, M model, std::string actions,
           absl::StatusCode status = absl::StatusCode::kOk, std::string problem = "") {
    cases.push_back({name, std::move(model), std::move(actions), status, std::move(problem)});
  }

  // What to go to.
  void AddTargets() {
    Add("TheNewestIsLookedAtFirst", With(OnDisk({1, 2}), [](M& m) { m.stamps.clear(); }), "look 2");
    Add("TheNewestIsLoaded", OnDisk({1, 2}), "load 2");
    Add("WhatIsLoadedIsServed",
        With(OnDisk({1, 2}), [](M& m) { m.loaded = {Of(2, State::kKept)}; }), "serve 2");
    Add("WhatIsServedStays",
        With(OnDisk({1, 2}), [](M& m) { m.loaded = {Of(2, State::kServing)}; }), "");
    Add("ANewerOneIsLoadedBesideIt",
        With(OnDisk({1, 2, 3}), [](M& m) { m.loaded = {Of(2, State::kServing)}; }), "load 3");
    Add("OfFilesThatChangedTheNewAreLoaded",
        With(OnDisk({2}), [](M& m) { m.loaded = {Of(2, State::kServing, 0, "before")}; }),
        "load 2");
    Add("AnEmptyRepositoryWantsNothing", OnDisk({}), "");
    Add("ItNeverGoesBackByItself",
        With(OnDisk({1, 2}), [](M& m) { m.loaded = {Of(3, State::kServing)}; }), "");
    Add("WithoutNumbersThereIsOne", With(OnDisk({0}), [](M& m) { m.numbered = false; }), "load 0");
    Add("WithoutNumbersNothingIsBelow",
        With(OnDisk({0}),
             [](M& m) {
               m.numbered = false;
               m.loaded = {Of(7, State::kServing)};
             }),
        "load 0");
  }

  // Pin and hold.
  void AddPinAndHold() {
    Add("APinIsFollowedBackwards",
        With(OnDisk({1, 2}),
             [](M& m) {
               m.pinned = 1;
               m.loaded = {Of(2, State::kServing)};
             }),
        "load 1");
    Add("AHoldIsFollowedBackwards",
        With(OnDisk({1, 2}),
             [](M& m) {
               m.held = 1;
               m.loaded = {Of(2, State::kServing)};
             }),
        "load 1");
    Add("APinGoesBeforeAHold",
        With(OnDisk({1, 2, 3}),
             [](M& m) {
               m.pinned = 2;
               m.held = 1;
             }),
        "load 2");
    Add("APinThatIsNotThereIsMissed", With(OnDisk({1}), [](M& m) { m.pinned = 9; }), "",
        absl::StatusCode::kNotFound, "model mine has no version 9");
    Add("APinThatCannotBeReadChangesNothing",
        With(OnDisk({1}), [](M& m) { m.pinned = absl::InvalidArgumentError("says 'latest'"); }), "",
        absl::StatusCode::kInvalidArgument, "says 'latest'");
    Add("WhatIsHeldAndKeptNeedsNoFiles",
        With(OnDisk({3}),
             [](M& m) {
               m.held = 2;
               m.loaded = {Of(2, State::kKept, 0, "gone"), Of(3, State::kServing)};
               m.keep = 2;
             }),
        "serve 2");
  }

  // What failed.
  void AddFailures() {
    Add("ARefusedOneIsPassedOver", With(OnDisk({1, 2}), [](M& m) { m.refused[2] = Refused(); }),
        "load 1", absl::StatusCode::kDataLoss);
    Add("ItsReasonStaysThoughAnotherIsServed",
        With(OnDisk({1, 2}),
             [](M& m) {
               m.refused[2] = Refused();
               m.loaded = {Of(1, State::kServing)};
             }),
        "", absl::StatusCode::kDataLoss);
    Add("OfOtherFilesItIsTriedAgain",
        With(OnDisk({1, 2}),
             [](M& m) {
               m.refused[2] = Refused();
               m.stamps[2] = "mended";
             }),
        "load 2");
    Add("BeforeItsTimeItIsNotTriedAgain",
        With(OnDisk({2}), [](M& m) { m.refused[2] = Refused(m.now + absl::Nanoseconds(1)); }), "",
        absl::StatusCode::kDataLoss);
    Add("InItsTimeItIs", With(OnDisk({2}), [](M& m) { m.refused[2] = Refused(m.now); }), "load 2");
  }

  // What drains.
  void AddDrains() {
    const auto draining = [](M& m, int count) {
      for (int i = 0; i < count; ++i) m.loaded.push_back(Of(10 + i, State::kDraining));
      m.loaded.push_back(Of(20, State::kServing));
    };
    Add("BelowTheLimitOfThoseThatDrainTheNextIsLoaded",
        With(OnDisk({21}), [&](M& m) { draining(m, kMaxDrainingVersions - 1); }), "load 21");
    Add("AtTheLimitItWaits", With(OnDisk({21}), [&](M& m) { draining(m, kMaxDrainingVersions); }),
        "", absl::StatusCode::kResourceExhausted,
        "model mine: requests still run on 3 older versions, so version 21 waits");
    Add("ThoseThatAreAboutToGoCountToo",
        With(OnDisk({21}),
             [&](M& m) {
               draining(m, kMaxDrainingVersions);
               m.loaded[0].state = State::kEnding;
             }),
        "", absl::StatusCode::kResourceExhausted,
        "model mine: requests still run on 3 older versions, so version 21 waits");
    Add("ADrainingOneComesBackThoughTheLimitIsReached",
        With(OnDisk({10, 20}),
             [&](M& m) {
               draining(m, kMaxDrainingVersions);
               m.pinned = 10;
             }),
        "serve 10, release 20");
    Add("OneThatIsAboutToGoDoesNot",
        With(OnDisk({10, 20}),
             [&](M& m) {
               draining(m, 1);
               m.loaded[0].state = State::kEnding;
               m.pinned = 10;
             }),
        "load 10");
  }

  // What is kept.
  void AddKept() {
    const auto kept = [](M& m) {
      m.loaded = {Of(4, State::kKept), Of(1, State::kKept), Of(2, State::kKept),
                  Of(3, State::kServing)};
    };
    Add("OneKeptIsTheServingOne", With(OnDisk({4}), kept),
        "serve 4, release 3, release 2, release 1");
    Add("TheLatestServedAreKept",
        With(OnDisk({4}),
             [&](M& m) {
               kept(m);
               m.keep = 3;
             }),
        "serve 4, release 1");
    Add("OfOneNumberTheCopyIsNamed",
        With(OnDisk({2}),
             [](M& m) {
               m.loaded = {Of(2, State::kKept, 1), Of(2, State::kServing, 0, "before")};
             }),
        "serve 2~1, release 2");
  }
};

class ChooseVersionTest : public ::testing::TestWithParam<Case> {};

TEST_P(ChooseVersionTest, Gives) {
  const VersionChoice choice = ChooseVersion(GetParam().model);
  EXPECT_EQ(Shown(choice.actions), GetParam().actions);
  EXPECT_EQ(choice.status.code(), GetParam().status) << choice.status;
  EXPECT_EQ(choice.problem.has_value() ? choice.problem->text : "", GetParam().problem);
}

INSTANTIATE_TEST_SUITE_P(Table, ChooseVersionTest, ::testing::ValuesIn(CaseTable().cases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(ChooseVersion, SaysWhichProblemEndsByItself) {
  ModelSituation model = OnDisk({9});
  model.pinned = 8;
  const VersionChoice missing = ChooseVersion(model);
  EXPECT_FALSE(missing.problem->waits);
  EXPECT_EQ(missing.problem->number, 8);
  model.pinned = std::nullopt;
  for (int i = 0; i < kMaxDrainingVersions; ++i) model.loaded.push_back(Of(i, State::kDraining));
  const VersionChoice full = ChooseVersion(model);
  EXPECT_TRUE(full.problem->waits);
  EXPECT_EQ(full.problem->number, 9);
}

// Whatever fails, carrying the actions out comes to an end, with the newest that is good.
TEST(ChooseVersion, CarriedOutItComesToAnEnd) {
  for (int good = 0; good < 8; ++good) {
    ModelSituation model = OnDisk({1, 2, 3});
    model.stamps.clear();
    int steps = 0;
    VersionChoice choice;
    while (!(choice = ChooseVersion(model)).actions.empty()) {
      ASSERT_LT(++steps, 20) << good;
      for (const VersionAction& action : choice.actions) {
        switch (action.kind) {
          case VersionAction::Kind::kLook:
            model.stamps[action.number] = kStamp;
            break;
          case VersionAction::Kind::kLoad:
            if ((good >> (action.number - 1)) & 1) {
              model.loaded.insert(model.loaded.begin(), Of(action.number, State::kKept));
            } else {
              model.refused[action.number] = Refused();
            }
            break;
          case VersionAction::Kind::kServe:
            model.loaded.back().state = State::kServing;
            break;
          case VersionAction::Kind::kRelease:
            FAIL() << "there is one";
        }
      }
    }
    const int newest = (good & 4) ? 3 : (good & 2) ? 2 : good;
    EXPECT_EQ(model.loaded.empty() ? 0 : model.loaded.back().number, newest) << good;
    EXPECT_EQ(choice.status.ok(), newest == 3);
  }
}

TEST(RefuseVersion, PutsOffTheSameAgainLongerAndLonger) {
  const absl::Status full = absl::ResourceExhaustedError("no memory");
  const absl::Time now = absl::UnixEpoch();
  VersionRefusal refusal = RefuseVersion(nullptr, kStamp, full, now);
  EXPECT_EQ(refusal.retry, now + kFirstRetry);
  absl::Duration put_off = kFirstRetry;
  for (int i = 0; i < 10; ++i) {
    put_off = std::min(2 * put_off, kLongestRetry);
    refusal = RefuseVersion(&refusal, kStamp, full, now);
    EXPECT_EQ(refusal.retry, now + put_off);
  }
  EXPECT_EQ(put_off, kLongestRetry);
  for (const auto& [stamp, reason] :
       {std::pair("other files", full),
        std::pair(kStamp, absl::PermissionDeniedError("not to be read"))}) {
    const VersionRefusal other = RefuseVersion(&refusal, stamp, reason, now);
    EXPECT_EQ(other.retry, now + kFirstRetry);
    EXPECT_FALSE(IsSameRefusal(refusal, other));
  }
}

TEST(RefuseVersion, WhatIsWrongInTheFilesWaitsForOthers) {
  for (const absl::Status& reason : {absl::InvalidArgumentError("a"), absl::DataLossError("b"),
                                     absl::NotFoundError("c"), absl::FailedPreconditionError("d"),
                                     absl::UnimplementedError("e"), absl::OutOfRangeError("f")}) {
    EXPECT_EQ(RefuseVersion(nullptr, kStamp, reason, absl::UnixEpoch()).retry,
              absl::InfiniteFuture())
        << reason;
  }
}

TEST(VersionBefore, IsTheOneServedBeforeElseTheNextLower) {
  ModelSituation model = OnDisk({1, 3, 5});
  model.loaded = {Of(5, State::kServing)};
  EXPECT_EQ(*VersionBefore(model, 1), 1);
  EXPECT_EQ(*VersionBefore(model, 0), 3) << "none was";
  EXPECT_EQ(*VersionBefore(model, 4), 3) << "it is not there any more";
  EXPECT_EQ(*VersionBefore(model, 5), 3) << "its own files were touched";
  model.loaded = {Of(3, State::kServing)};
  EXPECT_EQ(*VersionBefore(model, 5), 1) << "it was rolled back from";
  model.loaded = {Of(1, State::kServing)};
  const absl::Status none = VersionBefore(model, 5).status();
  EXPECT_EQ(none.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(none.message()), HasSubstr("no version before"));
  model.loaded.clear();
  EXPECT_EQ(VersionBefore(model, 0).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace diffusiond
