// How far a measurement is, for whoever waits for it.
#ifndef DIFFUSIOND_MODEL_EVALUATION_PROGRESS_BAR_H_
#define DIFFUSIOND_MODEL_EVALUATION_PROGRESS_BAR_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace diffusiond {

// "[#####-----]  220/440 images  12.3 images/s  left 18s": on a terminal one line that is drawn
// over, else a line a tenth of the way. Speed counts from the first Update, so what an
// interrupted run had done before does not flatter it. Thread-compatible.
class ProgressBar {
 public:
  struct Options {
    std::string unit = "images";
    bool terminal = false;
    std::function<absl::Time()> now = absl::Now;
  };

  // `out` must outlive this.
  ProgressBar(std::ostream* out, int64_t total, Options options);

  // `done` in 0 .. total, not less than before. The first call says what was done before, if any.
  void Update(int64_t done);

 private:
  std::string Line(int64_t done, absl::Time now) const;

  std::ostream* const out_;
  const int64_t total_;
  const Options options_;
  int64_t first_done_ = 0;
  std::optional<absl::Time> first_;
  absl::Time shown_at_ = absl::InfinitePast();
  int64_t shown_tenths_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_PROGRESS_BAR_H_
