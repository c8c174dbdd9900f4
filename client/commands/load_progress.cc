#include "client/commands/load_progress.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace diffusiond {
namespace {

constexpr absl::Duration kLineInterval = absl::Seconds(10);
constexpr char kClearLine[] = "\r\x1b[K";

}  // namespace

std::string LoadProgressLine(const LoadProgress& progress) {
  std::string line =
      absl::StrFormat("%.1f s: %d of %d sent, %d in flight, %d ok, %d refused, %d otherwise",
                      absl::ToDoubleSeconds(progress.elapsed), progress.sent, progress.planned,
                      progress.in_flight, progress.ok, progress.refused, progress.other);
  if (progress.not_sent > 0) absl::StrAppend(&line, ", ", progress.not_sent, " NOT SENT");
  return line;
}

LoadProgressPrinter::LoadProgressPrinter(const Terminal& terminal, std::ostream* out)
    : terminal_(terminal), out_(out), next_line_(kLineInterval) {}

LoadProgressPrinter::~LoadProgressPrinter() {
  if (drawn_) *out_ << kClearLine << std::flush;
}

void LoadProgressPrinter::Print(const LoadProgress& progress) {
  const std::string line = LoadProgressLine(progress);
  if (terminal_.interactive) {
    // A line that wraps cannot be drawn over.
    *out_ << kClearLine << line.substr(0, static_cast<size_t>(terminal_.columns - 1)) << std::flush;
    drawn_ = true;
  } else if (progress.elapsed >= next_line_) {
    *out_ << line << std::endl;
    next_line_ += kLineInterval;
  }
}

}  // namespace diffusiond
