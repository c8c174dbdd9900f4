#include "model/evaluation/script_features.h"

#include <torch/script.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/files/file_status.h"
#include "model/files/mapped_file.h"
#include "model/files/sha256.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

const char* NameOf(PixelScale scale) {
  return scale == PixelScale::kBytes ? "bytes" : scale == PixelScale::kUnit ? "unit" : "signed";
}

class ScriptFeatures : public FeatureNetwork {
 public:
  ScriptFeatures(torch::jit::Module module, std::string digest,
                 const ScriptFeaturesOptions& options)
      : module_(std::move(module)), digest_(std::move(digest)), options_(options) {}

  std::string identity() const override {
    return absl::StrCat("TorchScript ", digest_, ", ", options_.channels, " channels of ",
                        NameOf(options_.scale));
  }

  absl::StatusOr<ImageFeatures> Extract(std::span<const Frame> images) override {
    torch::NoGradGuard no_grad;
    ImageFeatures features;
    for (size_t begin = 0; begin < images.size(); begin += static_cast<size_t>(options_.batch)) {
      const auto batch = images.subspan(
          begin, std::min(static_cast<size_t>(options_.batch), images.size() - begin));
      absl::Status status;
      try {
        status = Append(module_.forward({Input(batch)}), batch.size(), &features);
      } catch (const std::exception& error) {
        // The interpreter's messages go on for pages; the reason is at the end.
        const std::string text = error.what();
        const size_t from = text.size() > 400 ? text.size() - 400 : 0;
        status = absl::InvalidArgumentError(absl::StrCat("forward failed: ", text.substr(from)));
      }
      if (!status.ok()) return InFile(options_.path, status);
    }
    return features;
  }

 private:
  torch::Tensor Input(std::span<const Frame> batch) const {
    const Frame& first = batch.front();
    std::vector<float> values;
    for (const Frame& frame : batch) {
      values.insert(values.end(), frame.values.begin(), frame.values.end());
    }
    torch::Tensor x = torch::tensor(values).view(
        {static_cast<int64_t>(batch.size()), first.channels, first.height, first.width});
    if (first.channels != options_.channels) {
      x = x.mean(1, /*keepdim=*/true).repeat({1, options_.channels, 1, 1});
    }
    x = x.clamp(-1, 1);
    if (options_.scale == PixelScale::kSigned) return x;
    if (options_.scale == PixelScale::kUnit) return (x + 1) / 2;
    return (x * 127.5 + 127.5).round().to(torch::kUInt8);
  }

  // Checks `output` and adds its rows.
  static absl::Status Append(const torch::jit::IValue& output, size_t rows,
                             ImageFeatures* features) {
    torch::jit::IValue values = output, scores;
    if (output.isTuple()) {
      const auto& elements = output.toTupleRef().elements();
      if (elements.size() != 2) {
        return absl::InvalidArgumentError(absl::StrCat("forward gave a tuple of ", elements.size(),
                                                       "; expected features and class scores"));
      }
      values = elements[0];
      scores = elements[1];
    }
    absl::Status status =
        AppendRows("features", values, rows, &features->dimensions, &features->values);
    if (status.ok() && output.isTuple()) {
      status = AppendRows("class scores", scores, rows, &features->classes, &features->log_scores);
    }
    features->images += static_cast<int64_t>(rows);
    return status;
  }

  static absl::Status AppendRows(const char* what, const torch::jit::IValue& value, size_t rows,
                                 int64_t* columns, std::vector<float>* to) {
    if (!value.isTensor()) {
      return absl::InvalidArgumentError(
          absl::StrCat("forward gave ", value.tagKind(), " as ", what, "; expected a tensor"));
    }
    const torch::Tensor& tensor = value.toTensor();
    if (tensor.dim() != 2 || tensor.size(0) != static_cast<int64_t>(rows) || tensor.size(1) < 1 ||
        !tensor.is_floating_point() || (*columns != 0 && tensor.size(1) != *columns)) {
      std::string shape;
      for (const int64_t size : tensor.sizes()) {
        absl::StrAppend(&shape, shape.empty() ? "" : ", ", size);
      }
      return absl::InvalidArgumentError(
          absl::StrCat("forward gave ", what, " of shape [", shape, "]; expected floating-point [",
                       rows, ", ", *columns == 0 ? "columns" : absl::StrCat(*columns), "]"));
    }
    const torch::Tensor flat = tensor.to(torch::kCPU, torch::kFloat32).contiguous();
    if (!flat.isfinite().all().item<bool>()) {
      return absl::InvalidArgumentError(
          absl::StrCat("forward gave ", what, " that are not finite"));
    }
    *columns = flat.size(1);
    to->insert(to->end(), flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
    return absl::OkStatus();
  }

  torch::jit::Module module_;
  const std::string digest_;
  const ScriptFeaturesOptions options_;
};

}  // namespace

absl::StatusOr<PixelScale> ParsePixelScale(const std::string& name) {
  for (const PixelScale scale : {PixelScale::kBytes, PixelScale::kUnit, PixelScale::kSigned}) {
    if (name == NameOf(scale)) return scale;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("pixel scale is \"", name, "\"; it must be bytes, unit or signed"));
}

absl::StatusOr<std::unique_ptr<FeatureNetwork>> OpenScriptFeatures(
    const ScriptFeaturesOptions& options) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(options.path));
  std::string digest = Sha256Hex(file.bytes());
  try {
    torch::jit::Module module = torch::jit::load(options.path.string(), torch::kCPU);
    module.eval();
    return std::make_unique<ScriptFeatures>(std::move(module), std::move(digest), options);
  } catch (const std::exception&) {
    return InFile(options.path,
                  absl::InvalidArgumentError(
                      "LibTorch cannot read it; expected a module that torch.jit.save wrote"));
  }
}

}  // namespace diffusiond
