// diffusion-train: from a folder of images to a checkpoint that diffusiond serves.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/usage.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model/checkpoint/diffusers_directory.h"
#include "model/checkpoint/publish_version.h"
#include "model/diffusion/trained_betas.h"
#include "model/evaluation/measure_training.h"
#include "model/evaluation/training_report.h"
#include "model/files/durable_write.h"
#include "model/process/end_signals.h"
#include "model/process/flag_check.h"
#include "model/process/flag_help.h"
#include "model/process/standard_streams.h"
#include "model/programs/train_image_classifier.h"
#include "model/status/status_macros.h"
#include "model/training/data/data_flags.h"
#include "model/training/data/labels.h"
#include "model/training/data/model_classes.h"
#include "model/training/distributed/worker_environment.h"
#include "model/training/distributed/worker_group.h"
#include "model/training/loop/peak_memory.h"
#include "model/training/loop/trainer.h"
#include "model/training/metrics/training_metrics.h"
#include "model/training/options/prior_warning.h"
#include "model/training/options/trainer_flags.h"
#include "model/training/progress/tensorboard_log.h"
#include "model/unet/device_option.h"
#include "model/unet/servable.h"

ABSL_FLAG(bool, resume, false,
          "go on from the newest whole state in --out; begins where there is none");
ABSL_FLAG(bool, image_classifier, false,
          "train no model but a small classifier of the images, for diffusion-eval to judge models "
          "by, and write it to --out/classifier.safetensors; of the other flags, --seed, --threads "
          "and those of the data count");
ABSL_FLAG(std::string, publish_to, "",
          "servers' --model_repository that receives the finished model as its next version; it is "
          "made if it is not there; empty: none");
ABSL_FLAG(std::string, publish_name, "",
          "the model's name there; empty: that of --out's directory");
ABSL_FLAG(
    int, keep_published_versions, diffusiond::kDefaultPublishedVersions,
    "versions that stay there, the newest so many and the pinned one; 0: all, else 2 or more");
ABSL_FLAG(bool, tensorboard, true, "write scalars and sample sheets to --out/tensorboard");
ABSL_FLAG(int, metrics_port, 0, "port of HTTP /metrics for Prometheus, on rank 0; 0: none");
ABSL_FLAG(bool, report, true, "at the end, write --out/report.html");
ABSL_FLAG(int64_t, report_images, 64,
          "held-out images that the report's bits/dim is measured on; 0: none");
ABSL_FLAG(std::string, device, "cpu", "cpu, cuda or cuda:N");
ABSL_FLAG(int, threads, 0,
          "threads on the CPU; 0: one per core, which the processes of a machine share");
ABSL_FLAG(
    absl::Duration, worker_timeout, absl::Minutes(10),
    "of several processes (torchrun's environment variables): how long to wait for the others, "
    "and for rank 0 while it saves, measures and draws; then the job ends");

namespace diffusiond {
namespace {

constexpr int64_t kWarmupPart = 10;  // A longer warm-up than this part of the run is warned of.

std::atomic<bool> g_stop = false;
void HandleStop(int) { g_stop = true; }

// When one of several processes is told to stop all of them do: to whoever started them none has
// finished. EX_TEMPFAIL of sysexits.h.
constexpr int kExitStopped = 75;
constexpr char kStopped[] = "stopped before the last step; all processes with --resume go on";

absl::StatusOr<PublishOptions> PublishOptionsFromFlags(const std::string& command) {
  PublishOptions options;
  options.name = absl::GetFlag(FLAGS_publish_name);
  if (options.name.empty()) {
    const std::filesystem::path out = std::filesystem::absolute(absl::GetFlag(FLAGS_out));
    options.name = (out / "").lexically_normal().parent_path().filename();
  }
  options.keep = absl::GetFlag(FLAGS_keep_published_versions);
  options.judge = [](const Checkpoint& source) {
    return CheckServable(source, /*max_model_memory=*/0);
  };
  options.training = absl::StrCat("```sh\n", command, "\n```\n");
  const bool wanted =
      !absl::GetFlag(FLAGS_publish_to).empty() || !absl::GetFlag(FLAGS_publish_name).empty();
  if (!wanted) return options;
  RETURN_IF_ERROR(CheckPublishOptions(options));
  if (absl::GetFlag(FLAGS_publish_to).empty()) {
    return absl::InvalidArgumentError(
        "--publish_name is given, but not --publish_to=DIR: nothing would be published");
  }
  return options;
}

// What is told while it runs, and of its end.
void Say(const std::string& lines) {
  std::printf("%s", Stamped(lines, "INFO", STDOUT_FILENO, absl::Now()).c_str());
}

void Complain(const char* level, absl::string_view text) {
  const std::string line = absl::StrCat("diffusion-train: ", text, "\n");
  std::cerr << Stamped(line, level, STDERR_FILENO, absl::Now()) << std::flush;
}

void Warn(absl::string_view text) { Complain("WARNING", absl::StrCat("warning: ", text)); }

absl::Status Publish(const std::filesystem::path& checkpoint, const PublishOptions& options) {
  const absl::StatusOr<PublishedVersion> published =
      PublishVersion(absl::GetFlag(FLAGS_publish_to), checkpoint, options);
  if (published.ok()) Say(Describe(*published));
  return published.status();
}

// "cuda" is the GPU of this process' number among those of its machine.
absl::Status TakeShareOfMachine(const WorkerEnvironment& environment, torch::Device* device) {
  if (device->is_cuda() && environment.distributed()) {
    if (device->has_index() && environment.local_size > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("--device is ", device->str(), "; of ", environment.local_size,
                       " processes on a machine each takes its own GPU: give cuda"));
    }
    if (!device->has_index()) {
      ASSIGN_OR_RETURN(torch::Device own,
                       ParseDevice(absl::StrCat("cuda:", environment.local_rank)));
      *device = own;
    }
  }
  const int threads = absl::GetFlag(FLAGS_threads);
  if (threads > 0) {
    at::set_num_threads(threads);
  } else if (environment.local_size > 1 && std::getenv("OMP_NUM_THREADS") == nullptr) {
    at::set_num_threads(std::max(1, at::get_num_threads() / environment.local_size));
  }
  return absl::OkStatus();
}

// Null if this process is alone.
absl::StatusOr<std::unique_ptr<WorkerGroup>> JoinWorkers(const WorkerEnvironment& environment,
                                                         torch::Device device) {
  const absl::Duration timeout = absl::GetFlag(FLAGS_worker_timeout);
  if (timeout < absl::Seconds(1) || timeout > absl::Hours(24)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--worker_timeout is ", absl::FormatDuration(timeout), "; it must be 1s .. 24h"));
  }
  if (!environment.distributed()) return nullptr;
  return WorkerGroup::Join(environment, device, timeout);
}

// What rank 0 tells others while it trains.
struct Listeners {
  std::unique_ptr<ProgressSink> tensorboard, metrics;
};

absl::StatusOr<Listeners> OpenListeners(int64_t step) {
  Listeners listeners;
  if (absl::GetFlag(FLAGS_tensorboard)) {
    ASSIGN_OR_RETURN(
        listeners.tensorboard,
        TensorBoardLog::Open(std::filesystem::path(absl::GetFlag(FLAGS_out)) / "tensorboard", step,
                             absl::Now()));
  }
  if (const int port = absl::GetFlag(FLAGS_metrics_port); port != 0) {
    if (port < 0 || port > 65535) {
      return absl::InvalidArgumentError(
          absl::StrCat("--metrics_port is ", port, "; it must be 0 .. 65535"));
    }
    ASSIGN_OR_RETURN(listeners.metrics, ServeTrainingMetrics(port));
  }
  return listeners;
}

// A report that fails takes nothing from the model: it is warned of.
void WriteReport(const std::string& command, const ImageDataset& train,
                 const ImageDataset& held_out, torch::Device device) {
  const std::filesystem::path out = absl::GetFlag(FLAGS_out);
  absl::StatusOr<TrainingReport> report =
      MeasureTraining({.run = out,
                       .command = command,
                       .bound_images = absl::GetFlag(FLAGS_report_images),
                       .seed = absl::GetFlag(FLAGS_seed),
                       .device = device},
                      train, held_out);
  absl::Status status = report.status();
  if (status.ok()) status = ReplaceFile(out / "report.html", TrainingReportHtml(*report));
  if (status.ok()) {
    Say(absl::StrCat("report: ", (out / "report.html").string(), "\n"));
  } else {
    Warn(absl::StrCat("no report: ", status.message()));
  }
}

// The schedule as it was learned, where Python will read less of it.
void WarnOfFloat32(const std::filesystem::path& checkpoint) {
  const absl::StatusOr<Checkpoint> saved = Checkpoint::Open(checkpoint);
  if (!saved.ok()) return;
  const std::string warning = Float32Warning(saved->config().scheduler.trained_betas);
  if (!warning.empty()) Warn(warning);
}

// What is allowed and hardly ever meant.
void WarnOfOptions(const TrainerOptions& options, const ImageDataset& train) {
  if (options.warmup_steps > options.steps / kWarmupPart) {
    Warn(absl::StrCat("--warmup_steps is ", options.warmup_steps, " of ", options.steps,
                      " steps: the learning rate is below its height for more than a tenth of the "
                      "run"));
  }
  if (options.objective.learn_schedule) return;
  const absl::StatusOr<std::string> prior = PriorWarning(options.model.scheduler, train);
  if (prior.ok() && !prior->empty()) Warn(*prior);
}

void WarnOfData(const TrainingData& data) {
  const std::vector<std::string>& train = data.train.warnings;
  for (const std::string& warning : train) Warn(warning);
  for (const std::string& warning : data.held_out.warnings) {
    if (std::find(train.begin(), train.end(), warning) == train.end()) Warn(warning);
  }
}

// What a classifier's output k tells is the model's class k. A model whose classes are but numbers
// cannot say which they are: then the data's are.
absl::Status NumberAsBase(const TrainerOptions& options, TrainingData* data) {
  if (options.base == nullptr) return absl::OkStatus();
  const std::vector<std::string>& classes = options.model.class_names;
  if (AreNumbers(classes) && !AreAllIn(classes, data->train.class_names)) return absl::OkStatus();
  RETURN_IF_ERROR(NumberAsModel(classes, &data->train));
  return NumberAsModel(classes, &data->held_out);
}

std::string ClassesOf(const ImageDataset& data) {
  if (data.labels.empty()) return "no classes";
  const size_t classes = data.class_names.size();
  return absl::StrCat(classes, classes == 1 ? " class" : " classes");
}

// Less than none of them is a slip.
absl::Status CheckCounts() {
  if (const int threads = absl::GetFlag(FLAGS_threads); threads < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--threads is ", threads, "; it must be 0 (one per core) or more"));
  }
  if (const int64_t images = absl::GetFlag(FLAGS_report_images); images < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--report_images is ", images, "; it must be 0 (none) or more"));
  }
  return absl::OkStatus();
}

absl::Status CheckOut() {
  if (!absl::GetFlag(FLAGS_out).empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("--out=DIR is required: where the run is written");
}

absl::Status Main(const std::string& command) {
  RETURN_IF_ERROR(CheckOut());
  RETURN_IF_ERROR(CheckCounts());
  ASSIGN_OR_RETURN(torch::Device device, ParseDevice(absl::GetFlag(FLAGS_device)));
  ASSIGN_OR_RETURN(const PublishOptions publish, PublishOptionsFromFlags(command));
  ASSIGN_OR_RETURN(const WorkerEnvironment environment, ReadWorkerEnvironment(std::getenv));
  const bool first = environment.rank == 0;
  ASSIGN_OR_RETURN(TrainingData data, OpenDataFromFlags());
  if (first) WarnOfData(data);
  if (absl::GetFlag(FLAGS_image_classifier)) {
    if (const int threads = absl::GetFlag(FLAGS_threads); threads > 0) at::set_num_threads(threads);
    return TrainImageClassifier(data, {.seed = absl::GetFlag(FLAGS_seed)},
                                absl::GetFlag(FLAGS_out));
  }
  ASSIGN_OR_RETURN(TrainerOptions options, TrainerOptionsFromFlags(data.train));
  RETURN_IF_ERROR(NumberAsBase(options, &data));
  RETURN_IF_ERROR(TakeShareOfMachine(environment, &device));
  ASSIGN_OR_RETURN(std::unique_ptr<WorkerGroup> workers, JoinWorkers(environment, device));

  TrainerParts parts;
  parts.train = &data.train;
  parts.held_out = &data.held_out;
  parts.device = device;
  parts.workers = workers.get();
  parts.warn = Warn;
  ASSIGN_OR_RETURN(std::unique_ptr<Trainer> trainer,
                   Trainer::Create(options, parts, absl::GetFlag(FLAGS_resume)));
  if (first) {
    Say(absl::StrFormat(
        "%d training images, %d held out, %dx%dx%d; %s; %s%s; from step %d\n", data.train.size(),
        data.held_out.size(), data.train.channels, data.train.height, data.train.width,
        ClassesOf(data.train), absl::GetFlag(FLAGS_device),
        environment.distributed() ? absl::StrCat(", ", environment.size, " processes") : "",
        trainer->step()));
    std::fflush(stdout);
  }
  if (first) WarnOfOptions(options, data.train);
  OnEndSignals(HandleStop);
  std::signal(SIGXFSZ, SIG_IGN);  // A file size limit is a write that fails, not the end.
  Listeners listeners;
  if (first) {
    ASSIGN_OR_RETURN(listeners, OpenListeners(trainer->step()));
    trainer->AddSink(listeners.tensorboard.get());
    trainer->AddSink(listeners.metrics.get());
  }
  absl::Status status = trainer->Run(g_stop);
  if (absl::IsUnavailable(status)) {
    // Collectives that wait for the lost worker would hold up an orderly exit.
    Complain("ERROR", status.message());
    std::_Exit(1);
  }
  const bool done = trainer->step() == options.steps;
  if (status.ok() && !done && environment.distributed()) status = absl::CancelledError(kStopped);
  if (!first || (!status.ok() && !absl::IsCancelled(status))) return status;
  Say(absl::StrFormat("%s at step %d: %s%s\n", done ? "done" : "stopped", trainer->step(),
                      (options.out / "checkpoint").string(),
                      done ? "" : "; the same command with --resume goes on"));
  Say(absl::StrFormat("waited for data %.2f%% of the steps' time; peak memory %s\n",
                      100 * trainer->waiting_share(), PeakMemory(device)));
  if (!done) return status;
  if (options.objective.learn_schedule) WarnOfFloat32(options.out / "checkpoint");
  if (!absl::GetFlag(FLAGS_publish_to).empty()) {
    status = Publish(options.out / "checkpoint", publish);
  }
  if (absl::GetFlag(FLAGS_report)) WriteReport(command, data.train, data.held_out, device);
  return status;
}

}  // namespace
}  // namespace diffusiond

int main(int argc, char** argv) {
  diffusiond::OpenStandardStreams();
  absl::SetProgramUsageMessage(
      "trains a diffusion model.\n"
      "  diffusion-train --data=images/ --out=runs/first\n"
      "  diffusion-train --data=images/ --out=runs/first --resume\n"
      "  diffusion-train --data=images/ --out=runs/judge --image_classifier\n"
      "  torchrun --redirects=1 --tee=1 --log_dir=logs --no_python --nproc_per_node=2 "
      "diffusion-train --data=images/ --out=runs/first "
      "--resume");
  absl::Status status = diffusiond::CheckNoMoreWords(
      diffusiond::ParseCommandLineOrExit("diffusion-train", argc, argv), 1);
  diffusiond::UseFullFloat32();
  try {
    if (status.ok()) status = diffusiond::Main(diffusiond::CommandByFlags("diffusion-train"));
  } catch (const std::exception& error) {  // LibTorch's: a device that is not there, no memory.
    status = absl::InternalError(error.what());
  }
  if (status.ok()) return diffusiond::FinishStandardOutput("diffusion-train", 0);
  std::cerr << "diffusion-train: " << status.message() << "\n";
  if (absl::IsCancelled(status)) return diffusiond::kExitStopped;
  return absl::IsInvalidArgument(status) ? 2 : 1;
}
