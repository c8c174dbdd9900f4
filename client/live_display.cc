#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/generate_display.h"
#include "client/progress_meter.h"
#include "client/terminal_canvas.h"

namespace diffusiond {
namespace {

constexpr absl::Duration kFrameInterval = absl::Milliseconds(50);
constexpr int kGap = 2;     // Columns between pictures.
constexpr int kIndent = 2;  // Columns left of everything.
constexpr int kMaxPictureLines = 40;
constexpr uint8_t kEmptySlot = 38;  // Grey of a picture that has not come yet.
constexpr int kBarColumns = 32;
constexpr int kBarTextColumns = 50;
constexpr int kAiryRows = 32;  // A terminal of so many rows has some to spare.

constexpr char kBegin[] = "\x1b[?25l\x1b[?7l";  // Cursor hidden, no automatic wrap.
constexpr char kClearToLineEnd[] = "\x1b[K";
constexpr char kClearBelow[] = "\x1b[J";

// The pieces that fit into `columns`, first come first served.
std::string JoinWhatFits(const std::vector<std::string>& pieces, int columns) {
  std::string line;
  for (const std::string& piece : pieces) {
    const std::string longer = line.empty() ? piece : absl::StrCat(line, "  ", piece);
    if (static_cast<int>(longer.size()) <= columns) line = longer;
  }
  return line;
}

class LiveDisplay : public GenerateDisplay {
 public:
  explicit LiveDisplay(DisplayOptions options) : options_(std::move(options)) {}
  ~LiveDisplay() override { Restore(); }

  void OnAccepted(const v1::Accepted& accepted) override {
    accepted_ = accepted;
    const uint32_t count = accepted.parameters().count();
    meter_.emplace(count, accepted.parameters().sampling().steps());
    x_t_.resize(count);
    x0_hat_.resize(count);
    finished_.resize(count);
    Draw(Compose());
  }

  void OnProgress(const v1::Progress& progress) override {
    meter_->Update(progress.image_index(), progress.steps_done(), progress.steps_total(),
                   options_.now());
    DrawIfDue();
  }

  void OnPreview(const v1::Preview& preview, const Image& picture) override {
    (preview.kind() == v1::PREVIEW_KIND_X_T ? x_t_ : x0_hat_)[preview.image_index()] = picture;
    timestep_ = preview.timestep();
    previewed_ = true;
    DrawIfDue();
  }

  void OnImage(const v1::Image& image, const Image& picture) override {
    finished_[image.image_index()] = picture;
    any_finished_ = true;
    DrawIfDue();
  }

  void OnEnd(bool success) override {
    if (meter_.has_value()) Draw(success ? ComposeFinished() : Compose());
    Restore();
  }

 private:
  using Pictures = std::vector<std::optional<Image>>;
  using Lines = std::vector<std::string>;

  std::string Styled(absl::string_view style, absl::string_view text) const {
    if (terminal_.color == ColorMode::kNone) return std::string(text);
    return absl::StrCat("\x1b[", style, "m", text, "\x1b[0m");
  }

  std::string Header() const {
    return Styled("1", JoinWhatFits(DescribeRequest(accepted_), TextColumns()));
  }

  int LineGap() const { return terminal_.rows >= kAiryRows ? 1 : 0; }
  int TextColumns() const { return std::max(10, terminal_.columns - kIndent - 1); }

  // Finished pictures in the place of their previews.
  Pictures Latest(const Pictures& previews) const {
    Pictures latest = previews;
    for (size_t i = 0; i < latest.size(); ++i) {
      if (finished_[i].has_value()) latest[i] = finished_[i];
    }
    return latest;
  }

  Image EmptySlot() const {
    const auto width = static_cast<int>(accepted_.width());
    const auto height = static_cast<int>(accepted_.height());
    return {width, height, 1,
            std::vector<uint8_t>(static_cast<size_t>(width) * height, kEmptySlot)};
  }

  int PictureColumns(const GridLayout& layout) const {
    return FitToCells(EmptySlot(), layout.cell_columns, layout.cell_lines).width;
  }

  void AppendPictures(const GridLayout& layout, const Pictures& pictures, Lines* lines) const {
    const Image empty = EmptySlot();
    std::vector<TextBlock> row;
    for (int i = 0; i < layout.shown; ++i) {
      row.push_back(
          DrawImage(FitToCells(pictures[i].value_or(empty), layout.cell_columns, layout.cell_lines),
                    terminal_.color));
      if (static_cast<int>(row.size()) < layout.per_row && i + 1 < layout.shown) continue;
      if (i >= layout.per_row) lines->resize(lines->size() + LineGap());
      for (std::string& line : BesideEachOther(row, kGap).lines) lines->push_back(std::move(line));
      row.clear();
    }
  }

  // `text_lines`: those that the frame needs beside its pictures.
  GridLayout LayOut(size_t count, int bands, int text_lines) const {
    const int lines = std::clamp(terminal_.rows - text_lines - 1, 1, kMaxPictureLines);
    return LayOutGrid(static_cast<int>(count), static_cast<int>(accepted_.width()),
                      static_cast<int>(accepted_.height()),
                      {.columns = TextColumns(),
                       .lines = lines,
                       .column_gap = kGap,
                       .line_gap = LineGap(),
                       .bands = bands});
  }

  // Label and pictures of each kind of preview that was asked for.
  void AppendPreviews(int text_lines, Lines* lines) const {
    const std::string at = previewed_ ? absl::StrFormat(" at t = %.0f", timestep_) : "";
    const size_t count = finished_.size();
    GridLayout layout = LayOut(count, 1, text_lines);
    bool x_t = options_.expect_x_t;
    if (x_t && options_.expect_x0_hat) {
      const GridLayout pair = LayOut(2, 1, text_lines);
      if (count == 1 && pair.per_row == 2) {
        std::string label = absl::StrCat("x_t", at);
        const size_t columns = static_cast<size_t>(PictureColumns(pair) + kGap);
        label.resize(std::max(label.size() + kGap, columns), ' ');
        lines->push_back(Styled("2", absl::StrCat(label, "x0-hat: the expected image")));
        AppendPictures(pair, {Latest(x_t_)[0], Latest(x0_hat_)[0]}, lines);
        return;
      }
      // Both where that costs no picture; else the guesses, which show more.
      const GridLayout both = LayOut(count, 2, text_lines + 1);
      x_t = both.shown == layout.shown;
      if (x_t) layout = both;
    }
    if (x_t) {
      lines->push_back(Styled("2", absl::StrCat("x_t: the noisy image", at)));
      AppendPictures(layout, Latest(x_t_), lines);
    }
    if (options_.expect_x0_hat) {
      lines->push_back(Styled("2", absl::StrCat("x0-hat", x_t ? "" : at, ": the expected image")));
      AppendPictures(layout, Latest(x0_hat_), lines);
    }
    if (!x_t && !options_.expect_x0_hat && any_finished_) {
      AppendPictures(layout, finished_, lines);
    }
    AppendMore(layout, lines);
  }

  Lines Compose() {
    terminal_ = options_.terminal();
    const bool airy = LineGap() > 0;
    Lines lines = {Header()};
    if (airy) lines.emplace_back();
    AppendPreviews(airy ? 6 : 4, &lines);  // Header, label, "and more", bar; two blanks.
    if (airy) lines.emplace_back();
    lines.push_back(Bar());
    return lines;
  }

  Lines ComposeFinished() {
    terminal_ = options_.terminal();
    Lines lines = {Header(), ""};
    // What is printed below should leave them in sight.
    const GridLayout layout = LayOut(finished_.size(), 1, 8);
    AppendPictures(layout, finished_, &lines);
    AppendMore(layout, &lines);
    lines.emplace_back();
    return lines;
  }

  // Says how many pictures had no room.
  void AppendMore(const GridLayout& layout, Lines* lines) const {
    const int left = static_cast<int>(finished_.size()) - layout.shown;
    if (left > 0) lines->push_back(Styled("2", absl::StrCat("and ", left, " more")));
  }

  std::string Bar() const {
    std::string text = absl::StrFormat("%3.0f %%  step %d of %d", meter_->fraction() * 100,
                                       meter_->steps_done(), meter_->steps_total());
    if (meter_->fraction() == 0) text = "waiting for the first step";
    if (const auto rate = meter_->StepsPerSecond(); rate.has_value()) {
      absl::StrAppend(&text, "  ", FormatRate(*rate), " steps/s");
    }
    if (const auto left = meter_->TimeLeft(); left.has_value()) {
      absl::StrAppend(&text, "  ", FormatSpan(*left), " left");
    }
    // Room for the longest text, so that the bar keeps its length.
    const int columns = std::min(kBarColumns, TextColumns() - kBarTextColumns);
    if (columns < 8) return text;
    const int halves = static_cast<int>(meter_->fraction() * columns * 2);
    std::string done, rest;
    for (int i = 0; i < halves / 2; ++i) done += "━";
    if (halves % 2 == 1) done += "╸";
    for (int i = (halves + 1) / 2; i < columns; ++i) {
      rest += terminal_.color == ColorMode::kNone ? " " : "━";
    }
    return absl::StrCat(Styled("38;5;44", done), Styled("38;5;238", rest), "  ", text);
  }

  void DrawIfDue() {
    if (options_.now() >= last_frame_ + kFrameInterval) Draw(Compose());
  }

  // Over the frame before, in one write.
  void Draw(const Lines& lines) {
    std::string frame = active_ ? "" : kBegin;
    active_ = true;
    if (lines_drawn_ > 0) absl::StrAppend(&frame, "\x1b[", lines_drawn_, "A\r");
    for (const std::string& line : lines) {
      absl::StrAppend(&frame, std::string(kIndent, ' '), line, kClearToLineEnd, "\r\n");
    }
    frame += kClearBelow;
    *options_.out << frame << std::flush;
    lines_drawn_ = static_cast<int>(lines.size());
    last_frame_ = options_.now();
  }

  void Restore() {
    if (!active_) return;
    active_ = false;
    *options_.out << kRestoreTerminal << std::flush;
  }

  const DisplayOptions options_;
  Terminal terminal_;  // As of the last frame.
  v1::Accepted accepted_;
  std::optional<ProgressMeter> meter_;  // From OnAccepted on.
  Pictures x_t_;
  Pictures x0_hat_;
  Pictures finished_;
  bool any_finished_ = false;
  bool previewed_ = false;
  float timestep_ = 0;  // Of the last preview.
  int lines_drawn_ = 0;
  absl::Time last_frame_ = absl::InfinitePast();
  bool active_ = false;  // The terminal's settings are ours.
};

}  // namespace

std::unique_ptr<GenerateDisplay> MakeLiveDisplay(DisplayOptions options) {
  return std::make_unique<LiveDisplay>(std::move(options));
}

}  // namespace diffusiond
