// A training run on one page.
#ifndef DIFFUSIOND_MODEL_EVALUATION_TRAINING_REPORT_H_
#define DIFFUSIOND_MODEL_EVALUATION_TRAINING_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/evaluation/bound_sums.h"
#include "model/training/progress/progress.h"

namespace diffusiond {

struct ReportPicture {
  std::string caption;
  std::string png;  // The file's bytes.
};

struct TrainingReport {
  std::string title;
  std::vector<std::pair<std::string, std::string>> facts;  // A table: what, and its value.
  std::vector<ProgressPoint> points;
  int64_t num_train_timesteps = 1000;  // That the points' levels divide.
  std::vector<ReportPicture> samples;  // Over time.
  std::optional<ReportPicture> nearest;
  std::optional<Bounds> bound;
  std::string bound_label;         // On what images.
  std::vector<std::string> notes;  // What could not be measured, and why.
};

// One HTML file that refers to nothing outside itself: plots as SVG, pictures inline. The same
// report gives the same bytes.
std::string TrainingReportHtml(const TrainingReport& report);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_TRAINING_REPORT_H_
