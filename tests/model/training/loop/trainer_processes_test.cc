// What a training run survives, where a process must end or change its user for it. LibTorch
// refuses to train in a child of a process that has trained, so this one never does.
#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "model/checkpoint/diffusers_directory.h"
#include "tests/model/training/loop/trainer_runs.h"
#include "tests/testing/in_child.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;

// The kernel kills this process when it has computed for so long.
void KillAfterComputing(absl::Duration duration) {
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  timer_t timer;
  if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) != 0) _exit(99);
  itimerspec when = {};
  when.it_value = absl::ToTimespec(duration);
  timer_settime(timer, 0, &when, nullptr);
}

class TrainerProcessesTest : public TrainerRuns {
 protected:
  std::string UndisturbedEndInChild(const TrainerOptions& options) {
    EXPECT_EQ(InChild([&] { return UndisturbedEnd(options).empty() ? 1 : 0; }), 0);
    return Bytes(directory_ / "undisturbed" / "states" /
                 StatePath(options, options.steps).filename());
  }

  // What a run of so many steps does on the disk.
  int64_t OperationsOf(TrainerOptions options, int64_t steps) {
    options.out = directory_ / "short";
    options.steps = steps;
    const fs::path result = directory_ / "operations";
    EXPECT_EQ(InChild([&] {
                const int64_t before = DiskOperations();
                if (!Train(options).ok()) return 1;
                std::ofstream(result) << DiskOperations() - before;
                return 0;
              }),
              0);
    int64_t operations = 0;
    std::ifstream(result) >> operations;
    return operations;
  }
};

TEST_F(TrainerProcessesTest, FiftyKillsLoseOnlyTheStepsSinceTheLastSave) {
  TrainerOptions options = Options("killed");
  options.steps = 150;
  options.save_every = 2;
  // As long a life as three saves need, counted in what the kill is timed by.
  const int64_t operations = OperationsOf(options, 6);
  ASSERT_GT(operations, 0);
  const std::string expected = UndisturbedEndInChild(options);

  std::mt19937 random(50);
  int kills = 0, finished = 1;
  int64_t saved = 0;
  while (kills < 50) {
    const bool while_writing = kills % 2 == 0;
    const int64_t operation = std::uniform_int_distribution<int64_t>(1, operations)(random);
    const int64_t microseconds = std::uniform_int_distribution<int64_t>(1000, 60000)(random);
    finished = InChild([&] {
      if (while_writing) KillAtDiskOperation(operation);
      if (!while_writing) KillAfterComputing(absl::Microseconds(microseconds));
      const absl::Status status = Train(options, /*resume=*/true);
      // It must go on from the newest state: no file was half written.
      return status.ok() && warnings_.empty() && from_step_ >= saved ? 0 : 1;
    });
    if (finished != -SIGKILL) break;
    ++kills;
    auto run = RunDirectory::Open(options.out);
    ASSERT_TRUE(run.ok()) << run.status();
    const auto states = (*run)->States();
    ASSERT_TRUE(states.ok()) << states.status();
    if (states->empty()) continue;
    EXPECT_GE(states->front().step, saved);
    saved = states->front().step;
    auto checkpoint = Checkpoint::Open(options.out / "checkpoint");
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  }
  ASSERT_EQ(kills, 50) << "the run ended with " << finished;
  EXPECT_GT(saved, 0);
  ASSERT_EQ(
      InChild([&] { return Train(options, /*resume=*/true).ok() && warnings_.empty() ? 0 : 1; }),
      0);
  EXPECT_EQ(Bytes(StatePath(options, options.steps)), expected);
  EXPECT_EQ(Bytes(options.out / "checkpoint/unet/diffusion_pytorch_model.safetensors"),
            Bytes(directory_ / "undisturbed/checkpoint/unet/diffusion_pytorch_model.safetensors"));
  // Nothing half written is left, in the directory or below.
  for (const auto& entry : fs::recursive_directory_iterator(options.out)) {
    EXPECT_EQ(entry.path().filename().string().find(".tmp-"), std::string::npos) << entry.path();
  }
}

TEST_F(TrainerProcessesTest, ReadOnlyDirectoryIsRefusedAtOnceAndSurvivedLater) {
  TrainerOptions options = Options("run");
  options.save_every = 2;
  options.log_every = 1;
  const std::string expected = UndisturbedEndInChild(options);
  // Root may write everywhere; nobody may not.
  const bool root = geteuid() == 0;
  const uid_t nobody = 65534;
  const fs::path states = options.out / "states";
  fs::create_directories(states);
  if (root) {
    for (const fs::path& path : {options.out, states}) {
      ASSERT_EQ(chown(path.c_str(), nobody, nobody), 0);
    }
  }
  ASSERT_EQ(InChild([&] {
              if (root && setuid(nobody) != 0) return 1;
              fs::permissions(options.out, fs::perms(0555));
              const auto refused = Create(options, false);
              if (refused.status().code() != absl::StatusCode::kPermissionDenied) return 2;
              fs::permissions(options.out, fs::perms(0755));
              sink_ = std::make_unique<AtEachStep>([&](int64_t step) {
                if (step == 5) fs::permissions(states, fs::perms(0555));
                if (step == 9) fs::permissions(states, fs::perms(0755));
              });
              if (!Train(options).ok()) return 3;
              return warnings_.find("not saved at step 8") == std::string::npos ? 4 : 0;
            }),
            0);
  EXPECT_EQ(Bytes(StatePath(options, 12)), expected);
}

}  // namespace
}  // namespace diffusiond
