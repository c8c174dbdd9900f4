#include "model/training/distributed/worker_group.h"

// What differs between LibTorch 1.13 and 2.x, and between builds with and without NCCL, is here.
#include <torch/version.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model/files/sha256.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

#if TORCH_VERSION_MAJOR >= 2
using Backend = c10d::Backend;
#else
using Backend = c10d::ProcessGroup;
#endif

absl::Status Lost(const char* doing, const std::exception& error) {
  std::string what = error.what();
  what = what.substr(0, what.find('\n'));  // The rest is a stack trace.
  return absl::UnavailableError(absl::StrCat("a worker was lost while ", doing, ": ", what));
}

c10::intrusive_ptr<c10d::Store> OpenStore(const WorkerEnvironment& environment,
                                          std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(environment.master_port);
  options.isServer = environment.rank == 0 && !environment.launcher_listens;
  options.numWorkers = static_cast<size_t>(environment.size);
  options.waitWorkers = !environment.launcher_listens;
  options.timeout = timeout;
  // LibTorch 2.4 takes libuv unless told otherwise, also where it was built without; both can talk
  // to each other.
  [](auto& any_version) {
    if constexpr (requires { any_version.useLibUV; }) any_version.useLibUV = false;
  }(options);
  auto store = c10::make_intrusive<c10d::TCPStore>(environment.master_address, options);
  store->setTimeout(timeout);
  return c10::make_intrusive<c10d::PrefixStore>(
      absl::StrCat("diffusion-train/", environment.attempt), std::move(store));
}

c10::intrusive_ptr<Backend> OpenGloo(const c10::intrusive_ptr<c10d::Store>& store,
                                     const WorkerEnvironment& environment,
                                     std::chrono::milliseconds timeout) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  // As Python's torch.distributed: one device an interface, in order.
  if (const char* interfaces = std::getenv("GLOO_SOCKET_IFNAME"); interfaces != nullptr) {
    for (const std::string& name : std::vector<std::string>(absl::StrSplit(interfaces, ','))) {
      options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(name));
    }
  } else {
    options->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
  }
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, environment.rank, environment.size,
                                                     options);
}

}  // namespace

struct WorkerGroup::Collectives {
  c10::intrusive_ptr<Backend> backend;
};

WorkerGroup::WorkerGroup(const WorkerEnvironment& environment, torch::Device device,
                         std::unique_ptr<Collectives> collectives)
    : environment_(environment), device_(device), collectives_(std::move(collectives)) {}

WorkerGroup::~WorkerGroup() = default;

absl::StatusOr<std::unique_ptr<WorkerGroup>> WorkerGroup::Join(const WorkerEnvironment& environment,
                                                               torch::Device device,
                                                               absl::Duration timeout) {
  // c10d writes to sockets whose other end may be gone; that is an error to report, not the end.
  std::signal(SIGPIPE, SIG_IGN);
  const std::chrono::milliseconds limit = absl::ToChronoMilliseconds(timeout);
  auto collectives = std::make_unique<Collectives>();
  try {
    if (device.is_cpu()) {
      collectives->backend = OpenGloo(OpenStore(environment, limit), environment, limit);
    } else {
#ifdef USE_C10D_NCCL
      // Else a sum's wait() returns before the sum is done, and a lost worker ends this process
      // from a watchdog's thread, before it has saved.
      setenv("TORCH_NCCL_BLOCKING_WAIT", "1", /*overwrite=*/0);
      setenv("NCCL_BLOCKING_WAIT", "1", /*overwrite=*/0);  // Before LibTorch 2.2.
      auto options = c10d::ProcessGroupNCCL::Options::create();
      options->timeout = limit;
      collectives->backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(
          OpenStore(environment, limit), environment.rank, environment.size, options);
#else
      return absl::UnimplementedError(
          "this LibTorch is built without NCCL: several processes can train on CPUs alone");
#endif
    }
  } catch (const std::exception& error) {
    return Lost(
        absl::StrCat("meeting at ", environment.master_address, ":", environment.master_port)
            .c_str(),
        error);
  }
  return std::unique_ptr<WorkerGroup>(new WorkerGroup(environment, device, std::move(collectives)));
}

absl::StatusOr<WorkerGroup::Waiter> WorkerGroup::StartSum(const torch::Tensor& tensor) {
  try {
    std::vector<at::Tensor> tensors = {tensor};
    auto work = collectives_->backend->allreduce(tensors);
    return Waiter([work]() -> absl::Status {
      try {
        work->wait();
      } catch (const std::exception& error) {
        return Lost("summing", error);
      }
      return absl::OkStatus();
    });
  } catch (const std::exception& error) {
    return Lost("beginning to sum", error);
  }
}

absl::Status WorkerGroup::Sum(const torch::Tensor& tensor) {
  absl::StatusOr<Waiter> waiter = StartSum(tensor);
  return waiter.ok() ? (*waiter)() : waiter.status();
}

absl::Status WorkerGroup::Broadcast(const torch::Tensor& tensor) {
  try {
    std::vector<at::Tensor> tensors = {tensor};
    collectives_->backend->broadcast(tensors)->wait();
  } catch (const std::exception& error) {
    return Lost("sending the state", error);
  }
  return absl::OkStatus();
}

absl::Status WorkerGroup::AgreeOk(const absl::Status& mine) {
  torch::Tensor failed =
      torch::full({1}, mine.ok() ? 0 : 1, torch::TensorOptions(device_).dtype(torch::kInt64));
  if (absl::Status status = Sum(failed); !status.ok()) return mine.ok() ? status : mine;
  if (!mine.ok()) return mine;
  const int64_t count = failed.item<int64_t>();
  if (count == 0) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat(count, " of ", size(), " processes cannot go on; their messages say why"));
}

absl::Status WorkerGroup::AgreeOnText(const std::string& what, const std::string& text) {
  const std::string digest = Sha256Hex(text);
  torch::Tensor first = torch::empty({static_cast<int64_t>(digest.size())}, torch::kUInt8);
  std::copy(digest.begin(), digest.end(), first.data_ptr<uint8_t>());
  const torch::Tensor mine = first.clone();
  first = first.to(device_);
  RETURN_IF_ERROR(Broadcast(first));
  const bool same = torch::equal(first.to(torch::kCPU), mine);
  return AgreeOk(same ? absl::OkStatus()
                      : absl::FailedPreconditionError(
                            absl::StrCat("rank ", rank(), " has another ", what, " than rank 0")));
}

}  // namespace diffusiond
