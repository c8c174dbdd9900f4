#include "model/evaluation/bound_run.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <span>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/diffusion/level_decoder.h"
#include "model/evaluation/timestep_strata.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Network evaluations between two saves, and in memory at once.
constexpr size_t kGroupRows = 512;

// Of all pixels around their mean, in [-1, 1].
double PixelVariance(const ImageDataset& data) {
  double sum = 0, squares = 0;
  for (const uint8_t byte : data.pixels) {
    const double value = byte / 127.5 - 1;
    sum += value;
    squares += value * value;
  }
  const double count = static_cast<double>(data.pixels.size());
  return squares / count - sum / count * (sum / count);
}

double MeanSquare(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - b[i];
    sum += difference * difference;
  }
  return sum / static_cast<double>(a.size());
}

// The rows of one image: t = 0, then the drawn ones.
struct ImagePlan {
  int64_t image = 0;
  std::vector<WeightedTimestep> middle;
};

// In bits per dimension.
double LevelDecoderBits(const LevelDecoderNats& nats, std::span<const float> x0) {
  double sum = 0;
  for (const float value : x0) {
    sum += nats.value[static_cast<size_t>(std::clamp(std::lround((value + 1) * 127.5), 0L, 255L))];
  }
  return sum * std::numbers::log2e / static_cast<double>(x0.size());
}

// `levels`: what decodes; null: the Gaussian decoder.
absl::StatusOr<double> Term(const VariationalBound& bound, const NoisedImage& asked,
                            const DenoisedImage& image, std::span<const float> x0_hat,
                            const LevelDecoderNats* levels) {
  const double term = levels != nullptr && asked.t == 0
                          ? LevelDecoderBits(*levels, image.x0)
                          : bound.TermBits(asked.t, image.x0, image.x_t, x0_hat, image.v);
  if (std::isfinite(term)) return term;
  return absl::InternalError(absl::StrCat("L_", asked.t, " of image ", asked.image,
                                          " is not finite: the schedule and the prediction "
                                          "type do not determine x0 there"));
}

// Takes the terms of a group in the order in which they were asked.
class GroupSums {
 public:
  explicit GroupSums(BoundSums* sums) : sums_(*sums) {}

  absl::Status Add(const VariationalBound& bound, const NoisedImage& asked,
                   const DenoisedImage& image, std::span<const float> x0_hat,
                   const LevelDecoderNats* levels) {
    ASSIGN_OR_RETURN(double term, Term(bound, asked, image, x0_hat, levels));
    TermSums& total = sums_.terms[static_cast<size_t>(asked.t)];
    total.images += 1;
    total.bits += term;
    total.squared_bits += term * term;
    total.x0_mse += MeanSquare(image.x0, x0_hat);
    bits_.push_back(term);
    return absl::OkStatus();
  }

  void Finish(const std::vector<ImagePlan>& group, const std::vector<double>& priors) {
    size_t at = 0;
    for (size_t i = 0; i < group.size(); ++i) {
      ImageBits image;
      image.prior = priors[i];
      image.decoder = bits_[at++];
      for (const WeightedTimestep& timestep : group[i].middle) {
        image.middle += timestep.weight * bits_[at++];
      }
      sums_.images.push_back(image);
    }
  }

 private:
  BoundSums& sums_;
  std::vector<double> bits_;
};

absl::Status EvaluateGroup(const std::vector<ImagePlan>& group, const LevelDecoderNats* levels,
                           DataDenoiser* denoiser, Bounds* bounds) {
  std::vector<NoisedImage> asked;
  std::vector<double> priors;
  const VariationalBound& bound = denoiser->bound();
  for (const ImagePlan& plan : group) {
    asked.push_back({plan.image, 0});
    for (const WeightedTimestep& timestep : plan.middle) asked.push_back({plan.image, timestep.t});
    priors.push_back(bound.PriorBits(ToFrame(ImageAt(denoiser->data(), plan.image)).values));
  }
  GroupSums network(&bounds->network), clipped(&bounds->clipped);
  // A long row of timesteps is evaluated in pieces.
  for (size_t begin = 0; begin < asked.size(); begin += kGroupRows) {
    const auto piece = std::span(asked).subspan(begin, std::min(kGroupRows, asked.size() - begin));
    ASSIGN_OR_RETURN(std::vector<DenoisedImage> denoised, denoiser->Denoise(piece));
    for (size_t i = 0; i < piece.size(); ++i) {
      const DenoisedImage& image = denoised[i];
      absl::Status status = network.Add(bound, piece[i], image, image.x0_hat, levels);
      if (denoiser->clips()) {
        status.Update(clipped.Add(bound, piece[i], image, image.clipped, levels));
      }
      if (!status.ok()) return status;
    }
  }
  network.Finish(group, priors);
  if (denoiser->clips()) clipped.Finish(group, priors);
  return absl::OkStatus();
}

}  // namespace

ByteDecoder DecoderOf(const SchedulerConfig& config) {
  return config.trained_betas.empty() ? ByteDecoder::kGaussian : ByteDecoder::kLevels;
}

absl::StatusOr<Bounds> RunBound(const BoundRunOptions& options, DataDenoiser* denoiser,
                                const std::function<void(int64_t images_done)>& progress) {
  absl::StatusOr<Bounds> bounds = LoadBounds(options.state, options.fingerprint);
  if (absl::IsNotFound(bounds.status())) bounds = Bounds{};
  if (!bounds.ok()) return bounds.status();
  const size_t timesteps = static_cast<size_t>(denoiser->bound().num_timesteps());
  bounds->network.terms.resize(timesteps);
  if (denoiser->clips()) bounds->clipped.terms.resize(timesteps);

  std::optional<LevelDecoderNats> levels;
  if (options.decoder == ByteDecoder::kLevels) {
    const double alpha_bar = denoiser->bound().alpha_bar(0);
    levels = DecodeLevels(std::log((1 - alpha_bar) / alpha_bar));
  }
  const TimestepStrata strata(denoiser->bound(), PixelVariance(denoiser->data()),
                              options.timesteps_per_image);
  const int64_t count = denoiser->data().size();
  progress(static_cast<int64_t>(bounds->network.images.size()));
  while (static_cast<int64_t>(bounds->network.images.size()) < count) {
    std::vector<ImagePlan> group;
    size_t rows = 0;
    for (int64_t image = static_cast<int64_t>(bounds->network.images.size()); image < count;
         ++image) {
      group.push_back({image, strata.Draw(options.seed, image)});
      rows += 1 + group.back().middle.size();
      if (rows >= kGroupRows) break;
    }
    absl::Status status = EvaluateGroup(group, levels ? &*levels : nullptr, denoiser, &*bounds);
    if (status.ok()) status = SaveBounds(options.state, *bounds, options.fingerprint);
    if (!status.ok()) return status;
    progress(static_cast<int64_t>(bounds->network.images.size()));
  }
  return bounds;
}

}  // namespace diffusiond
