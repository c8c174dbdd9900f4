// Any text as a trace of requests: it is refused, or gives requests in order of their times that
// are written and read again as they were.
#include <cstdint>
#include <cstdlib>

#include "client/load/load_mix.h"
#include "client/load/load_trace.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diffusiond;
  static const auto* const mix = new LoadMix(ParseLoadMix("short weight=3; long steps=9").value());
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto requests = ParseLoadTrace(text, "trace", *mix, 1);
  if (!requests.ok()) {
    if (!absl::IsInvalidArgument(requests.status())) std::abort();
    return 0;
  }
  for (size_t i = 1; i < requests->size(); ++i) {
    if ((*requests)[i].at < (*requests)[i - 1].at) std::abort();
  }
  LoadPlan plan;
  plan.mix = *mix;
  plan.requests = *requests;
  const auto again = ParseLoadTrace(LoadTraceOf(plan), "trace", *mix, 2);
  if (!again.ok() || !(*again == *requests)) std::abort();
  return 0;
}
