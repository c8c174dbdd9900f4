// A step scheduler of which the test makes each change, and reads what it leaves to be done.
#ifndef DIFFUSIOND_TESTS_SERVER_ENGINE_STEP_SCHEDULER_FIXTURE_H_
#define DIFFUSIOND_TESTS_SERVER_ENGINE_STEP_SCHEDULER_FIXTURE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/engine/step_policy.h"
#include "server/engine/step_scheduler.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/stepped_engine.h"

namespace diffusiond {

inline constexpr int kCapacity = 8, kMicroBatch = 4;  // FakeExecutor's.
inline const absl::Time kBegin = absl::FromUnixSeconds(1000);

// "1 progress 0 1/4", "1 preview 0 1 x_t", "1 image 0", "1 finished OK": of generation 1.
inline std::string Describe(const EngineEvent& event) {
  struct Words {
    std::string operator()(const EngineEvent::Progress& p) const {
      return absl::StrCat("progress ", p.image_index, " ", p.steps_done, "/", p.steps_total);
    }
    std::string operator()(const EngineEvent::Preview& p) const {
      return absl::StrCat("preview ", p.image_index, " ", p.steps_done, " ",
                          p.kind == PreviewContent::kXt ? "x_t" : "x0_hat");
    }
    std::string operator()(const EngineEvent::FinalImage& i) const {
      return absl::StrCat("image ", i.image_index);
    }
    std::string operator()(const EngineEvent::Finished& f) const {
      return absl::StrCat("finished ", absl::StatusCodeToString(f.status.code()));
    }
  };
  return absl::StrCat(event.generation, " ", std::visit(Words(), event.what));
}

inline std::vector<uint64_t> SeedsOf(const std::optional<StepBatch>& batch) {
  return batch.has_value() ? Seeds(Seen(batch->tasks)) : std::vector<uint64_t>();
}

class StepSchedulerTest : public ::testing::Test {
 protected:
  StepSchedulerTest() { Restart(Limits(64, 64)); }
  ~StepSchedulerTest() override {
    scheduler_->EndAll(absl::CancelledError("the test is over"), now_, effects_);
    EXPECT_EQ(scheduler_->depth().waiting, 0);
  }

  // Begins again, with these limits and one worker.
  void Restart(StepScheduler::Limits limits) {
    scheduler_ = std::make_unique<StepScheduler>(
        limits, [] { return std::make_unique<StepPolicy>(StepPolicy::Options{}); });
    worker_ = AddWorker();
  }
  static StepScheduler::Limits Limits(int places, int residents) {
    return {.places = {.places = places, .share = 1, .high_share = 1},
            .max_resident_trajectories = residents};
  }
  WorkerId AddWorker(const std::string& model = "model") {
    return scheduler_->AddWorker({{model, kCapacity, kMicroBatch}});
  }

  GenerationId Admit(GenerationSpec spec) {
    const absl::StatusOr<GenerationId> id = scheduler_->Admit(std::move(spec), now_);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.value_or(0);
  }
  absl::Status Refused(GenerationSpec spec) {
    return scheduler_->Admit(std::move(spec), now_).status();
  }
  std::optional<StepBatch> Take(WorkerId worker) {
    return scheduler_->Choose(worker, now_, effects_);
  }
  std::optional<StepBatch> Take() { return Take(worker_); }
  bool Settle(std::optional<StepBatch> batch, const absl::Status& status = absl::OkStatus()) {
    return scheduler_->Settle(*batch, status, now_, effects_);
  }
  // Runs the batch and gives it back.
  bool Finish(std::optional<StepBatch> batch) {
    const absl::Status status = executor_.Step(absl::MakeSpan(batch->tasks));
    return Settle(std::move(batch), status);
  }
  // Batches until nothing is left to run.
  int RunAll() {
    int batches = 0;
    for (std::optional<StepBatch> batch; (batch = Take()).has_value(); ++batches) {
      Finish(std::move(batch));
    }
    return batches;
  }
  void End(GenerationId id, const absl::Status& reason = absl::CancelledError("client left")) {
    scheduler_->End(id, reason, now_, effects_);
  }
  // What there was to tell since the last call.
  std::vector<std::string> Told() {
    std::vector<std::string> told;
    for (const EngineEvent& event : effects_.events) told.push_back(Describe(event));
    effects_.events.clear();
    return told;
  }
  absl::Status LastEnd() const {
    return std::get<EngineEvent::Finished>(effects_.events.back().what).status;
  }

  FakeExecutor executor_;
  absl::Time now_ = kBegin;
  Effects effects_;  // Of all changes.
  std::unique_ptr<StepScheduler> scheduler_;
  WorkerId worker_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SERVER_ENGINE_STEP_SCHEDULER_FIXTURE_H_
