#include "model/training/loop/peak_memory.h"

#include <sys/resource.h>

#include "absl/strings/str_cat.h"

#if DIFFUSIOND_WITH_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#endif

namespace diffusiond {

std::string PeakMemory(torch::Device device) {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  std::string text = absl::StrCat(usage.ru_maxrss / 1024, " MiB");
#if DIFFUSIOND_WITH_CUDA
  if (device.is_cuda()) {
    const int index = device.has_index() ? device.index() : 0;
    const int64_t bytes =
        c10::cuda::CUDACachingAllocator::getDeviceStats(index).reserved_bytes[0].peak;
    absl::StrAppend(&text, ", ", bytes >> 20, " MiB on ", device.str());
  }
#else
  (void)device;
#endif
  return text;
}

}  // namespace diffusiond
