#include "model/evaluation/ode_run.h"

#include <algorithm>
#include <utility>

#include "model/evaluation/progress_file.h"
#include "model/sampling/lane_pool.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr char kBits[] = "bits_per_dim";

}  // namespace

absl::StatusOr<std::vector<double>> RunOde(const OdeOptions& options, const NoiseAngles& angles,
                                           const ImageDataset& data,
                                           const std::vector<int64_t>& labels,
                                           const OdeRunState& keep,
                                           std::vector<std::unique_ptr<NetworkVjp>> lanes,
                                           const std::function<void(int64_t done)>& progress) {
  absl::StatusOr<NumberTables> tables =
      LoadNumberTables(keep.state, keep.fingerprint, {{kBits, 1}});
  if (absl::IsNotFound(tables.status())) tables = NumberTables{};
  if (!tables.ok()) return tables.status();
  std::vector<double>& bits = (*tables)[kBits].values;

  const int64_t rows = lanes.front()->micro_batch();
  LanePool pool(static_cast<int>(lanes.size()));
  progress(static_cast<int64_t>(bits.size()));
  while (static_cast<int64_t>(bits.size()) < data.size()) {
    const int64_t begin = static_cast<int64_t>(bits.size());
    const int64_t left = data.size() - begin;
    const auto groups =
        std::min<int64_t>(static_cast<int64_t>(lanes.size()), (left + rows - 1) / rows);
    std::vector<absl::StatusOr<std::vector<double>>> results(static_cast<size_t>(groups));
    pool.Run(static_cast<int>(groups), [&](int group, int lane) {
      // The last group is filled up with its own last image.
      std::vector<int64_t> indices, group_labels;
      for (int64_t row = 0; row < rows; ++row) {
        indices.push_back(std::min(begin + group * rows + row, data.size() - 1));
        group_labels.push_back(labels[static_cast<size_t>(indices.back())]);
      }
      results[static_cast<size_t>(group)] = OdeBitsPerDim(
          options, angles, data, indices, group_labels, lanes[static_cast<size_t>(lane)].get());
    });
    for (const auto& result : results) {
      if (!result.ok()) return result.status();
      for (const double value : *result) {
        if (static_cast<int64_t>(bits.size()) == data.size()) break;
        (*tables)[kBits].AppendRow({value});
      }
    }
    RETURN_IF_ERROR(SaveNumberTables(keep.state, *tables, keep.fingerprint));
    progress(static_cast<int64_t>(bits.size()));
  }
  return std::move(bits);
}

}  // namespace diffusiond
