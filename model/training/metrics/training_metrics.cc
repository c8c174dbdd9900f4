#include "model/training/metrics/training_metrics.h"

#include "absl/strings/str_cat.h"

#if DIFFUSIOND_WITH_PROMETHEUS

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "model/http/page_server.h"
#include "model/status/status_macros.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"

namespace diffusiond {
namespace {

class TrainingMetrics : public ProgressSink {
 public:
  TrainingMetrics()
      : step_(Gauge("step", "Optimiser steps done, those before a restart included.")),
        total_steps_(Gauge("total_steps", "Optimiser steps of the whole run.")),
        images_(Gauge("images", "Training images seen, with repetitions.")),
        images_per_second_(
            Gauge("images_per_second", "Without pauses for saving, measuring and drawing.")),
        waiting_share_(Gauge("waiting_ratio", "Share of the steps' time spent waiting for data.")),
        loss_(Gauge("loss", "Mean training loss.")),
        ema_loss_(Gauge("ema_loss", "Loss of the averaged weights on held-out images.")),
        gradient_norm_(Gauge("gradient_norm", "Of one step, before clipping.")),
        learning_rate_(Gauge("learning_rate", "Of the optimiser.")),
        skipped_steps_(Gauge("skipped_steps", "Steps whose loss was not finite.")),
        saved_step_(Gauge("saved_step", "Step of the newest saved state.")),
        save_failures_(prometheus::BuildCounter()
                           .Name("diffusion_train_save_failures_total")
                           .Help("Saves that failed, as on a full disk.")
                           .Register(*registry_)
                           .Add({})) {
    auto& levels = prometheus::BuildGauge()
                       .Name("diffusion_train_loss_by_level")
                       .Help(
                           "Mean training loss by noise level: tenths of the timesteps, the "
                           "least noise first.")
                       .Register(*registry_);
    for (size_t level = 0; level < kLossLevels; ++level) {
      levels_.push_back(&levels.Add({{"level", absl::StrCat(level)}}));
    }
    // Zero would be a measurement, and a good one of a loss.
    for (prometheus::Gauge* unmeasured : {&images_per_second_, &waiting_share_, &loss_, &ema_loss_,
                                          &gradient_norm_, &learning_rate_, &saved_step_}) {
      unmeasured->Set(std::numeric_limits<double>::quiet_NaN());
    }
    for (prometheus::Gauge* level : levels_) level->Set(std::numeric_limits<double>::quiet_NaN());
  }

  absl::Status Serve(const std::string& listen) {
    ASSIGN_OR_RETURN(
        std::unique_ptr<PageServer> server,
        PageServer::Start({.listen = listen,
                           .path = "/metrics",
                           .content_type = "text/plain; version=0.0.4; charset=utf-8",
                           .page = [registry = registry_] {
                             return prometheus::TextSerializer().Serialize(registry->Collect());
                           }}));
    server_ = std::move(server);
    return absl::OkStatus();
  }

  void OnPoint(const ProgressPoint& point) override {
    step_.Set(static_cast<double>(point.step));
    total_steps_.Set(static_cast<double>(point.total_steps));
    images_.Set(static_cast<double>(point.images));
    images_per_second_.Set(point.images_per_second);
    waiting_share_.Set(point.waiting_share);
    loss_.Set(point.loss);
    if (point.held_out_loss) ema_loss_.Set(*point.held_out_loss);
    gradient_norm_.Set(point.gradient_norm);
    learning_rate_.Set(point.learning_rate);
    skipped_steps_.Set(static_cast<double>(point.skipped_steps));
    for (size_t level = 0; level < kLossLevels; ++level) {
      if (point.loss_by_level[level]) levels_[level]->Set(*point.loss_by_level[level]);
    }
  }

  void OnSave(int64_t step, bool ok) override {
    if (ok) saved_step_.Set(static_cast<double>(step));
    if (!ok) save_failures_.Increment();
  }

 private:
  prometheus::Gauge& Gauge(const char* name, const char* help) {
    return prometheus::BuildGauge()
        .Name(absl::StrCat("diffusion_train_", name))
        .Help(help)
        .Register(*registry_)
        .Add({});
  }

  const std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  prometheus::Gauge &step_, &total_steps_, &images_, &images_per_second_, &waiting_share_, &loss_,
      &ema_loss_, &gradient_norm_, &learning_rate_, &skipped_steps_, &saved_step_;
  prometheus::Counter& save_failures_;
  std::vector<prometheus::Gauge*> levels_;
  std::unique_ptr<PageServer> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ProgressSink>> ServeTrainingMetrics(int port) {
  auto metrics = std::make_unique<TrainingMetrics>();
  if (absl::Status status = metrics->Serve(absl::StrCat("0.0.0.0:", port)); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat("--metrics_port: ", status.message()));
  }
  return metrics;
}

}  // namespace diffusiond

#else

namespace diffusiond {

absl::StatusOr<std::unique_ptr<ProgressSink>> ServeTrainingMetrics(int port) {
  return absl::UnimplementedError(absl::StrCat(
      "no metrics on port ", port, ": this build has no prometheus-cpp (DIFFUSIOND_BUILD_SERVER)"));
}

}  // namespace diffusiond

#endif
