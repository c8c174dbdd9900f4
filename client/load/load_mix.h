// What a load is made of: kinds of requests, and how often each comes.
#ifndef DIFFUSIOND_CLIENT_LOAD_LOAD_MIX_H_
#define DIFFUSIOND_CLIENT_LOAD_LOAD_MIX_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// As many as a plot can tell apart.
inline constexpr size_t kMaxMixEntries = 16;
inline constexpr size_t kMaxMixBytes = 16 << 10;
inline constexpr size_t kMaxEntryNameBytes = 40;
inline constexpr double kMaxEntryWeight = 1e6;
// Far above what any model takes: a server's own refusals can be measured too.
inline constexpr uint32_t kMaxEntrySteps = 100'000;
inline constexpr uint32_t kMaxEntryCount = 100'000;
inline constexpr absl::Duration kMaxEntryTime = absl::Hours(24);

// One kind of request.
struct LoadEntry {
  std::string name = {};
  double weight = 1;                 // Its share is weight / (sum of the weights). Above 0.
  v1::GenerateRequest request = {};  // The seed is put in by the plan.
  std::string tenant = {};           // Metadata "diffusiond-tenant"; empty: none is sent.
  // Both count from the intended time of sending. Infinite: none.
  absl::Duration deadline = absl::InfiniteDuration();
  absl::Duration cancel_after = absl::InfiniteDuration();
};

struct LoadMix {
  std::vector<LoadEntry> entries = {};
};

// Entries with ';' between them; of each, the first word is its name, the others are key=value:
//   "short weight=0.8 steps=20; long weight=0.2 steps=250 sampler=ddim eta=0 deadline=10s"
// Keys are the fields above, those of SamplingOptions, and as diffusionctl's flags: model, count,
// class (a name without blanks, or an id), preview_every, preview, preview_max_side, format,
// priority. What is not named is left to the server. INVALID_ARGUMENT names entry, key, value and
// what is allowed.
absl::StatusOr<LoadMix> ParseLoadMix(absl::string_view text);

// INVALID_ARGUMENT: no entry or too many, a name twice, or a weight that is none.
absl::Status CheckLoadMix(const LoadMix& mix);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_LOAD_LOAD_MIX_H_
