#include "model/config/step_memory.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model/process/machine_memory.h"

namespace diffusiond {
namespace {

constexpr double kFloatBytes = 4;
// Input and output of a convolution once more, reordered; Winograd's transforms are of a few tiles
// at a time.
constexpr double kReordered = 1;
// The same of its 3 x 3 weights, one copy a lane: reordered, and transformed too where a
// micro-batch has tiles enough for that.
constexpr double kReorderedWeights = 9;
constexpr double kTransformedWeights = 9 + 36;
constexpr double kTransformedPixels = 512;
// What a lane's kernels and its thread keep whatever the network.
constexpr double kLaneBytes = 8e6;
// Images that a row's task holds beside the network: registers, noise, D, and copies on their way.
constexpr double kImagesIn = 8;
constexpr double kImagesOut = 2;

// Follows one row through the network. All in numbers of floats.
class RowWalk {
 public:
  RowWalk(double rows, bool gradients) : rows_(rows), gradients_(gradients) {}

  // Stays until Drop.
  void Hold(double floats, const std::string& where) {
    held_ += floats;
    Peak(0, where);
  }
  void Drop(double floats) {
    if (!gradients_) held_ -= floats;  // Else the way back needs it.
  }
  // Needed for a moment. `saved` of it stays where gradients are taken.
  void Need(double floats, double saved, const std::string& where) {
    // The way back takes as much again for gradients.
    Peak(gradients_ ? 2 * floats : floats, where);
    if (gradients_) held_ += saved;
  }

  void Convolve(double in, double in_pixels, double out, double pixels, double beside,
                const std::string& where) {
    Need(beside + kReordered * (in * in_pixels + out * pixels) + in * in_pixels + out * pixels,
         out * pixels, where);
    const bool transformed = rows_ * pixels >= kTransformedPixels;
    weights_ =
        std::max(weights_, (transformed ? kTransformedWeights : kReorderedWeights) * in * out);
  }

  // `pixels`: of the input; `scale`: the output's are so many times as many.
  void Resnet(double in, double out, double pixels, double scale, const std::string& where) {
    const double x = in * pixels, after = scale * pixels;
    Need(3 * x + in * after, 2 * x + (scale == 1 ? 0 : in * after), where);
    Convolve(in, after, out, after, x, where);
    Need(x + 3 * out * after, 2 * out * after, where);
    Convolve(out, after, out, after, x, where);
    Need(x + (scale == 1 ? 0 : in * after) + 3 * out * after, out * after, where);
  }

  void Attention(double channels, double heads, double pixels, const std::string& where) {
    const double scores = heads * pixels * pixels;
    Need(6 * channels * pixels + 2 * scores, 6 * channels * pixels + scores, where);
  }

  double peak() const { return peak_; }
  double lane_weights() const { return weights_; }
  const std::string& where() const { return where_; }

 private:
  void Peak(double floats, const std::string& where) {
    if (held_ + floats <= peak_) return;
    peak_ = held_ + floats;
    where_ = where;
  }

  const double rows_;
  const bool gradients_;
  double held_ = 0, peak_ = 0, weights_ = 0;
  std::string where_;
};

class NetworkWalk {
 public:
  NetworkWalk(const UNetConfig& config, const StepLoad& load)
      : config_(config), row_(static_cast<double>(load.micro_batch), load.gradients) {}

  RowWalk Walk() {
    const double in = static_cast<double>(config_.in_channels);
    const double out = static_cast<double>(config_.out_channels);
    const double first = Channels(0), pixels = Pixels(0);
    row_.Hold((kImagesIn * in + kImagesOut * out) * pixels, SampleSize());
    row_.Convolve(in, pixels, first, pixels, 0, At(0));
    Push(first * pixels, At(0));
    for (size_t level = 0; level < Levels(); ++level) Down(level);
    Mid();
    for (size_t level = Levels(); level-- > 0;) Up(level);
    row_.Need(3 * first * pixels, 2 * first * pixels, At(0));
    row_.Convolve(first, pixels, out, pixels, first * pixels, At(0));
    return std::move(row_);
  }

 private:
  size_t Levels() const { return config_.block_out_channels.size(); }
  double Channels(size_t level) const {
    return static_cast<double>(config_.block_out_channels[level]);
  }
  double Pixels(size_t level) const {
    return static_cast<double>(config_.sample_height >> level) *
           static_cast<double>(config_.sample_width >> level);
  }
  double Heads(size_t level) const {
    if (!config_.attention_head_dim) return 1;
    return Channels(level) / static_cast<double>(*config_.attention_head_dim);
  }
  std::string SampleSize() const {
    return absl::StrCat("sample_size ", config_.sample_height, " x ", config_.sample_width);
  }
  std::string At(size_t level) const {
    return absl::StrCat(SampleSize(), " with block_out_channels[", level,
                        "] = ", config_.block_out_channels[level]);
  }

  void Attend(size_t level) {
    row_.Attention(
        Channels(level), Heads(level), Pixels(level),
        absl::StrCat(At(level), " and ", Heads(level), " attention heads over ",
                     config_.sample_height >> level, " x ", config_.sample_width >> level));
  }

  void Push(double floats, const std::string& where) {
    skips_.push_back(floats);
    row_.Hold(floats, where);
  }

  void Down(size_t level) {
    const double out = Channels(level), pixels = Pixels(level);
    const bool attends = absl::StartsWith(config_.down_block_types[level], "Attn");
    double in = level == 0 ? out : Channels(level - 1);
    for (int64_t layer = 0; layer < config_.layers_per_block; ++layer, in = out) {
      row_.Resnet(in, out, pixels, 1, At(level));
      if (attends) Attend(level);
      Push(out * pixels, At(level));
    }
    if (level + 1 == Levels()) return;
    // By a convolution or a residual block: the latter takes more.
    row_.Resnet(out, out, pixels, 0.25, At(level));
    Push(out * pixels / 4, At(level));
  }

  void Mid() {
    const size_t level = Levels() - 1;
    for (int i = 0; i < 2; ++i) {
      row_.Resnet(Channels(level), Channels(level), Pixels(level), 1, At(level));
      if (i == 0 && config_.add_attention) Attend(level);
    }
  }

  void Up(size_t level) {
    const double out = Channels(level), pixels = Pixels(level);
    const bool attends = absl::StartsWith(config_.up_block_types[Levels() - 1 - level], "Attn");
    // The stage's input stays until its end.
    double in = level + 1 == Levels() ? out : Channels(level + 1);
    const double input = in * pixels;
    row_.Hold(input, At(level));
    for (int64_t layer = 0; layer <= config_.layers_per_block; ++layer, in = out) {
      const double skip = skips_.back() / pixels;
      row_.Need((in + 2 * skip + in) * pixels, (in + skip) * pixels, At(level));
      row_.Drop(skips_.back());
      skips_.pop_back();
      row_.Resnet(in + skip, out, pixels, 1, At(level));
      if (attends) Attend(level);
    }
    row_.Drop(input);
    if (level > 0) row_.Resnet(out, out, pixels, 4, At(level));
  }

  const UNetConfig& config_;
  RowWalk row_;
  std::vector<double> skips_;
};

}  // namespace

StepMemory EstimateStepMemory(const UNetConfig& config, double parameters, const StepLoad& load) {
  const RowWalk row = NetworkWalk(config, load).Walk();
  const double lanes = static_cast<double>(load.lanes);
  StepMemory memory;
  memory.weights = kFloatBytes * parameters;
  memory.activations =
      lanes * (kLaneBytes + kFloatBytes * (static_cast<double>(load.micro_batch) * row.peak() +
                                           row.lane_weights()));
  memory.most_for = row.where();
  return memory;
}

int64_t ModelMemoryLimit(int64_t max_model_memory) {
  return max_model_memory > 0 ? max_model_memory : MachineMemory() / 2;
}

absl::Status CheckMaxModelMemory(int64_t max_model_memory) {
  if (max_model_memory == 0 ||
      (max_model_memory >= kMinModelMemory && max_model_memory <= kMaxModelMemory)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("--max_model_memory is ", max_model_memory,
                                                 ", allowed: 0 (half of the machine's memory), or ",
                                                 kMinModelMemory, " .. ", kMaxModelMemory));
}

}  // namespace diffusiond
