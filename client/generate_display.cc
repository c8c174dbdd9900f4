#include "client/generate_display.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/progress_meter.h"
#include "model/process/printable_text.h"

namespace diffusiond {
namespace {

class SilentDisplay : public GenerateDisplay {
 public:
  void OnAccepted(const v1::Accepted&) override {}
  void OnProgress(const v1::Progress&) override {}
  void OnPreview(const v1::Preview&, const Image&) override {}
  void OnImage(const v1::Image&, const Image&) override {}
  void OnEnd(bool) override {}
};

class PlainDisplay : public GenerateDisplay {
 public:
  explicit PlainDisplay(DisplayOptions options) : options_(std::move(options)) {}

  void OnAccepted(const v1::Accepted& accepted) override {
    meter_.emplace(accepted.parameters().count(), accepted.parameters().sampling().steps());
    *options_.out << absl::StrJoin(DescribeRequest(accepted), ", ") << std::endl;
  }

  void OnProgress(const v1::Progress& progress) override {
    meter_->Update(progress.image_index(), progress.steps_done(), progress.steps_total(),
                   options_.now());
    const int tenths = static_cast<int>(meter_->fraction() * 10);
    if (tenths <= tenths_shown_) return;
    tenths_shown_ = tenths;
    std::string line = absl::StrFormat("%3d %%  step %d of %d", tenths * 10, meter_->steps_done(),
                                       meter_->steps_total());
    if (const auto rate = meter_->StepsPerSecond(); rate.has_value()) {
      absl::StrAppend(&line, ", ", FormatRate(*rate), " steps/s");
    }
    if (const auto left = meter_->TimeLeft(); left.has_value() && tenths < 10) {
      absl::StrAppend(&line, ", ", FormatSpan(*left), " left");
    }
    *options_.out << line << std::endl;
  }

  void OnPreview(const v1::Preview&, const Image&) override {}
  void OnImage(const v1::Image&, const Image&) override {}
  void OnEnd(bool) override {}

 private:
  const DisplayOptions options_;
  std::optional<ProgressMeter> meter_;  // From OnAccepted on.
  int tenths_shown_ = 0;
};

}  // namespace

std::unique_ptr<GenerateDisplay> MakeSilentDisplay() { return std::make_unique<SilentDisplay>(); }

std::unique_ptr<GenerateDisplay> MakePlainDisplay(DisplayOptions options) {
  return std::make_unique<PlainDisplay>(std::move(options));
}

std::vector<std::string> DescribeRequest(const v1::Accepted& accepted) {
  const v1::ResolvedParameters& parameters = accepted.parameters();
  const v1::SamplingOptions& sampling = parameters.sampling();
  std::vector<std::string> words = {parameters.model()};
  if (parameters.has_class_id()) {
    words.push_back(parameters.class_name().empty() ? absl::StrCat("class ", parameters.class_id())
                                                    : parameters.class_name());
  }
  words.push_back(absl::StrCat(parameters.count(), parameters.count() == 1 ? " image " : " images ",
                               accepted.width(), "x", accepted.height()));
  words.push_back(absl::StrCat(sampling.sampler(), " ", sampling.steps(), " steps"));
  if (sampling.guidance_scale() != 1) {
    words.push_back(absl::StrCat("guidance ", sampling.guidance_scale()));
  }
  if (sampling.has_classifier_scale()) {
    words.push_back(absl::StrCat("classifier guidance ", sampling.classifier_scale()));
  }
  words.push_back(absl::StrCat("seed ", parameters.seed()));
  for (std::string& word : words) word = Printable(word);
  return words;
}

}  // namespace diffusiond
