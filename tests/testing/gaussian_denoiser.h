// The exact denoiser of Gaussian data: a network whose samples have a known distribution.
#ifndef DIFFUSIOND_TESTS_TESTING_GAUSSIAN_DENOISER_H_
#define DIFFUSIOND_TESTS_TESTING_GAUSSIAN_DENOISER_H_

#include <cstdint>
#include <vector>

#include "model/diffusion/noise_schedule.h"
#include "model/sampling/denoiser.h"

namespace diffusiond {

// x_0 of class k has independent elements N(mean[k], deviation^2), so
// E[eps | x_t] = sqrt(1 - alpha_bar) (x_t - sqrt(alpha_bar) mean) / (alpha_bar deviation^2 + 1 -
// alpha_bar). Predicts epsilon at integer timesteps.
class GaussianDenoiser : public Denoiser {
 public:
  struct Options {
    ImageShape shape;
    int micro_batch = 1;
    std::vector<double> means = {0};  // By label.
    double deviation = 1;
  };

  GaussianDenoiser(NoiseSchedule schedule, Options options);

  ImageShape shape() const override { return options_.shape; }
  int micro_batch() const override { return options_.micro_batch; }
  int capacity() const override {
    return options_.micro_batch == kAnyRows ? 4 : options_.micro_batch;
  }
  absl::Status Predict(std::span<const float> x, std::span<const float> timesteps,
                       std::span<const int64_t> labels, std::span<float> f) override;

  int calls() const { return calls_; }

 private:
  const NoiseSchedule schedule_;
  const Options options_;
  int calls_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_GAUSSIAN_DENOISER_H_
