// What data parallelism costs on one machine: two processes of one thread, with half batches,
// against one process of two threads. Prints images a second and their ratio.
//
//   build/release/bin/distributed_benchmark [--quick]
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/training/loop/trainer.h"
#include "model/training/options/network_shape.h"
#include "tests/benchmarks/benchmark_run.h"
#include "tests/testing/free_port.h"
#include "tests/testing/in_child.h"

namespace diffusiond {
namespace {

struct Setting {
  const char* name;
  int channels, side;
  NetworkShape shape;
  int64_t batch_size;
};

// That warm up; as many are measured.
int Steps() { return FullOrQuick(3, 1); }

ImageDataset Noise(const Setting& setting) {
  ImageDataset data;
  data.channels = setting.channels;
  data.height = data.width = setting.side;
  uint32_t state = 1;
  for (int64_t i = 0; i < 256 * data.image_bytes(); ++i) {
    state = state * 1664525 + 1013904223;
    data.pixels.push_back(static_cast<uint8_t>(state >> 24));
  }
  data.digest = DigestOf(data);
  return data;
}

// The speed after the steps that warm up.
class LastSpeed : public ProgressSink {
 public:
  void OnPoint(const ProgressPoint& point) override {
    images_per_second_ = point.images_per_second;
  }
  double images_per_second() const { return images_per_second_; }

 private:
  double images_per_second_ = 0;
};

// Exits with 0 and writes the speed, of rank 0, to `fd`.
int Train(const Setting& setting, const ImageDataset& data, int rank, int size, int port, int fd) {
  if (freopen("/dev/null", "w", stdout) == nullptr) return 1;
  at::set_num_threads(2 / size);
  WorkerEnvironment environment;
  environment.rank = rank;
  environment.size = size;
  environment.master_address = "127.0.0.1";
  environment.master_port = port;
  absl::StatusOr<std::unique_ptr<WorkerGroup>> workers = nullptr;
  if (size > 1) workers = WorkerGroup::Join(environment, torch::kCPU, absl::Minutes(2));
  if (!workers.ok()) return 2;
  TrainerOptions options;
  options.out =
      std::filesystem::temp_directory_path() / ("distributed_benchmark_" + std::to_string(port));
  if (!DescribeModel(setting.shape, data, &options.model).ok()) return 3;
  options.steps = 2 * Steps();
  options.batch_size = setting.batch_size;
  options.log_every = Steps();
  options.eval_every = options.sample_every = options.save_every = 0;
  options.sampling.steps = 1;
  LastSpeed speed;
  const ImageDataset none;
  TrainerParts parts;
  parts.train = &data;
  parts.held_out = &none;
  parts.workers = workers->get();
  parts.sinks.push_back(&speed);
  absl::StatusOr<std::unique_ptr<Trainer>> trainer =
      Trainer::Create(options, std::move(parts), false);
  if (!trainer.ok()) return 4;
  const std::atomic<bool> never = false;
  const absl::Status status = (*trainer)->Run(never);
  if (rank == 0) {
    std::filesystem::remove_all(options.out);
    const double value = speed.images_per_second();
    if (write(fd, &value, sizeof(value)) != sizeof(value)) return 5;
  }
  return status.ok() ? 0 : 6;
}

double Measure(const Setting& setting, const ImageDataset& data, int size) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const int port = FreePort();
  std::vector<pid_t> children;
  for (int rank = 0; rank < size; ++rank) {
    children.push_back(StartChild([&] { return Train(setting, data, rank, size, port, ends[1]); }));
  }
  for (pid_t child : children) {
    if (const int code = WaitForChild(child); code != 0) {
      FailBenchmark(absl::StrCat("a process ended with ", code));
    }
  }
  double speed = 0;
  if (read(ends[0], &speed, sizeof(speed)) != sizeof(speed)) std::abort();
  close(ends[0]);
  close(ends[1]);
  return speed;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Run() {
  setenv("GLOO_SOCKET_IFNAME", "lo", 1);
  const std::vector<Setting> settings = {
      {.name = "width 32, 1x28x28",
       .channels = 1,
       .side = 28,
       .shape = {.channels = {"32", "64", "96"}, .attention_at = {"7"}},
       .batch_size = FullOrQuick(32, 4)},
      {.name = "width 64, 3x32x32",
       .channels = 3,
       .side = 32,
       .shape = {.channels = {"64", "128", "128"}, .attention_at = {"8"}},
       .batch_size = FullOrQuick(16, 4)}};
  std::printf("%-20s %26s %26s %6s\n", "images/s, training", "1 process, 2 threads",
              "2 processes, 1 thread each", "ratio");
  std::fflush(stdout);  // The children would print it again.
  for (const Setting& setting : settings) {
    const ImageDataset data = Noise(setting);
    std::vector<double> one, two, ratio;
    for (int round = 0; round < FullOrQuick(3, 1); ++round) {
      one.push_back(Measure(setting, data, 1));
      two.push_back(Measure(setting, data, 2));
      ratio.push_back(two.back() / one.back());
    }
    std::printf("%-20s %26.1f %26.1f %6.2f\n", setting.name, Median(one), Median(two),
                Median(ratio));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  diffusiond::ParseBenchmarkFlags(argc, argv);
  diffusiond::PrintProcessor();
  diffusiond::Run();
  return 0;
}
