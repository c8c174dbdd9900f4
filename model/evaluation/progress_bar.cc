#include "model/evaluation/progress_bar.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace diffusiond {
namespace {

constexpr int64_t kColumns = 30;
constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr char kClearToLineEnd[] = "\x1b[K";

}  // namespace

ProgressBar::ProgressBar(std::ostream* out, int64_t total, Options options)
    : out_(out), total_(total), options_(std::move(options)) {}

std::string ProgressBar::Line(int64_t done, absl::Time now) const {
  const auto filled =
      static_cast<size_t>(total_ > 0 ? std::min(kColumns, kColumns * done / total_) : kColumns);
  std::string line = absl::StrCat("[", std::string(filled, '#'),
                                  std::string(static_cast<size_t>(kColumns) - filled, '-'), "]  ",
                                  done, "/", total_, " ", options_.unit);
  const double seconds = absl::ToDoubleSeconds(now - *first_);
  if (done > first_done_ && seconds > 0) {
    const double rate = static_cast<double>(done - first_done_) / seconds;
    absl::StrAppendFormat(&line, "  %.3g %s/s", rate, options_.unit);
    if (done < total_) {
      const auto left = absl::Seconds(static_cast<double>(total_ - done) / rate);
      absl::StrAppend(&line, "  left ", absl::FormatDuration(absl::Ceil(left, absl::Seconds(1))));
    }
  }
  return line;
}

void ProgressBar::Update(int64_t done) {
  const absl::Time now = options_.now();
  const int64_t tenths = total_ > 0 ? 10 * done / total_ : 10;
  if (!first_.has_value()) {
    first_ = now;
    first_done_ = done;
    shown_tenths_ = done < total_ ? tenths : 0;
    if (done > 0 && done < total_) {
      *out_ << "going on after " << done << " " << options_.unit << "\n" << std::flush;
    }
  }
  const bool last = done >= total_;
  if (options_.terminal) {
    if (!last && now < shown_at_ + kRedraw) return;
    shown_at_ = now;
    *out_ << "\r" << Line(done, now) << kClearToLineEnd << (last ? "\n" : "") << std::flush;
  } else if (tenths > shown_tenths_) {
    shown_tenths_ = tenths;
    *out_ << Line(done, now) << "\n" << std::flush;
  }
}

}  // namespace diffusiond
