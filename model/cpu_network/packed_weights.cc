#include "model/cpu_network/packed_weights.h"

#include <algorithm>

#include "model/cpu_network/blocking.h"

namespace diffusiond {
namespace {

// What stands at one place of a kernel of [kernel, kernel]: a weight, or a transformed one.
class KernelPlaces {
 public:
  KernelPlaces(const WeightShape& shape, Tiling tiling) : shape_(shape) {
    if (tiling != Tiling::kDirect) rows_ = KernelTransform(tiling);
  }

  size_t count() const {
    return rows_.empty() ? shape_.kernel * shape_.kernel : rows_.size() * rows_.size();
  }

  // All of one kernel.
  void Fill(const float* kernel, std::span<float> places) const {
    if (rows_.empty()) {
      std::copy_n(kernel, places.size(), places.begin());
      return;
    }
    const size_t size = rows_.size();
    std::array<std::array<double, 3>, 6> half;  // Rows transformed: [size][3].
    for (size_t i = 0; i < size; ++i) {
      for (size_t x = 0; x < 3; ++x) {
        half[i][x] =
            rows_[i][0] * kernel[x] + rows_[i][1] * kernel[3 + x] + rows_[i][2] * kernel[6 + x];
      }
    }
    for (size_t i = 0; i < size; ++i) {
      for (size_t j = 0; j < size; ++j) {
        places[i * size + j] = static_cast<float>(
            rows_[j][0] * half[i][0] + rows_[j][1] * half[i][1] + rows_[j][2] * half[i][2]);
      }
    }
  }

 private:
  const WeightShape shape_;
  std::vector<std::array<double, 3>> rows_;
};

}  // namespace

// At each point p, (g0 + g1 p + g2 p^2) / N, N the product of p's distances from the others; at
// infinity g2.
std::vector<std::array<double, 3>> KernelTransform(Tiling tiling) {
  const double a = kPointA, b = kPointB;
  const std::vector<double> points =
      tiling == Tiling::kF4 ? std::vector<double>{0, a, -a, b, -b} : std::vector<double>{0, 1, -1};
  std::vector<std::array<double, 3>> rows;
  for (size_t i = 0; i < points.size(); ++i) {
    double distances = 1;
    for (size_t j = 0; j < points.size(); ++j) {
      if (j != i) distances *= points[i] - points[j];
    }
    rows.push_back({1 / distances, points[i] / distances, points[i] * points[i] / distances});
  }
  rows.push_back({0, 0, 1});
  return rows;
}

size_t PackedSize(const WeightShape& shape, Tiling tiling) {
  return Panels(shape.out) * KernelPlaces(shape, tiling).count() * shape.in * kPanel;
}

void Pack(const WeightShape& shape, Tiling tiling, std::span<const float> weights, float* packed) {
  const KernelPlaces kernel_places(shape, tiling);
  const size_t count = kernel_places.count(), taps = shape.kernel * shape.kernel;
  std::vector<float> places(count);
  for (size_t out = 0; out < WholePanels(shape.out); ++out) {
    const size_t group = out / kGroupChannels * kPanelGroup;
    const size_t panels = std::min(kPanelGroup, Panels(shape.out) - group);
    const size_t panel = out / kPanel - group;
    float* const to_group = packed + group * count * shape.in * kPanel;
    for (size_t in = 0; in < shape.in; ++in) {
      if (out < shape.out) {
        kernel_places.Fill(weights.data() + (out * shape.in + in) * taps, places);
      } else {
        std::fill(places.begin(), places.end(), 0.f);
      }
      // Blocks do not reach over the first input's end.
      const size_t start = in < shape.first_in ? 0 : shape.first_in;
      const size_t end = in < shape.first_in ? shape.first_in : shape.in;
      const size_t block = start + (in - start) / kDepth * kDepth;
      const size_t terms = std::min(kDepth, end - block);
      for (size_t place = 0; place < count; ++place) {
        to_group[((place * shape.in + block) * panels + panel * terms + in - block) * kPanel +
                 out % kPanel] = places[place];
      }
    }
  }
}

}  // namespace diffusiond
