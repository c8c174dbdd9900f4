// Short training runs for the tests of what a run survives.
#ifndef DIFFUSIOND_TESTS_MODEL_TRAINING_LOOP_TRAINER_RUNS_H_
#define DIFFUSIOND_TESTS_MODEL_TRAINING_LOOP_TRAINER_RUNS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "model/training/loop/trainer.h"
#include "tests/testing/faulty_disk.h"
#include "tests/testing/tiny_training.h"

namespace diffusiond {

inline std::string Bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Calls a function at each step; the trainer must log every step.
class AtEachStep : public ProgressSink {
 public:
  explicit AtEachStep(std::function<void(int64_t)> call) : call_(std::move(call)) {}
  void OnPoint(const ProgressPoint& point) override { call_(point.step); }

 private:
  std::function<void(int64_t)> call_;
};

class TrainerRuns : public testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);  // Also: no threads that a forked child would miss.
    directory_ = std::filesystem::path(testing::TempDir()) /
                 (std::string("trainer_runs_") +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override {
    FailWrites(0);
    std::filesystem::remove_all(directory_);
  }

  TrainerOptions Options(const std::string& out) const { return TinyOptions(directory_ / out); }

  absl::StatusOr<std::unique_ptr<Trainer>> Create(const TrainerOptions& options, bool resume) {
    TrainerParts parts;
    parts.train = &data_;
    parts.held_out = &no_data_;
    parts.warn = [this](absl::string_view text) { warnings_ += std::string(text) + "\n"; };
    parts.loss_hook = loss_hook_;
    if (sink_ != nullptr) parts.sinks.push_back(sink_.get());
    return Trainer::Create(options, parts, resume);
  }

  absl::Status Train(const TrainerOptions& options, bool resume = false) {
    absl::StatusOr<std::unique_ptr<Trainer>> trainer = Create(options, resume);
    if (!trainer.ok()) return trainer.status();
    from_step_ = (*trainer)->step();
    const std::atomic<bool> never = false;
    return (*trainer)->Run(never);
  }

  static std::filesystem::path StatePath(const TrainerOptions& options, int64_t step) {
    std::string number = std::to_string(step);
    number.insert(0, 9 - number.size(), '0');
    return options.out / "states" / ("step-" + number + ".safetensors");
  }

  static std::vector<std::string> StateNames(const TrainerOptions& options) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(options.out / "states")) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  // The weights and everything else at the end of a run that nothing disturbs.
  std::string UndisturbedEnd(TrainerOptions options) {
    options.out = directory_ / "undisturbed";
    const absl::Status status = Train(options);
    EXPECT_TRUE(status.ok()) << status;
    return Bytes(StatePath(options, options.steps));
  }

  const ImageDataset data_ = TinyImages(20);
  const ImageDataset no_data_;
  std::string warnings_;
  int64_t from_step_ = -1;
  std::unique_ptr<ProgressSink> sink_;
  TrainingStep::LossHook loss_hook_;
  std::filesystem::path directory_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_TRAINING_LOOP_TRAINER_RUNS_H_
