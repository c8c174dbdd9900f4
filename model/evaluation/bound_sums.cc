#include "model/evaluation/bound_sums.h"

#include <cmath>
#include <limits>

#include "model/evaluation/progress_file.h"

namespace diffusiond {
namespace {

constexpr char kTerms[] = "terms";
constexpr char kImages[] = "images";

}  // namespace

MeanAndError Summarise(double count, double sum, double sum_of_squares) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (count < 1) return {kNone, kNone};
  const double mean = sum / count;
  if (count < 2) return {mean, kNone};
  const double variance = std::max(0.0, sum_of_squares - count * mean * mean) / (count - 1);
  return {mean, std::sqrt(variance / count)};
}

MeanAndError Summarise(std::span<const double> values) {
  const double count = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  for (const double value : values) squares += (value - sum / count) * (value - sum / count);
  const MeanAndError centred = Summarise(count, 0, squares);
  return {values.empty() ? centred.mean : sum / count, centred.standard_error};
}

absl::Status SaveBoundSums(const std::filesystem::path& path, const BoundSums& sums,
                           const std::string& fingerprint) {
  NumberTables tables;
  for (const TermSums& term : sums.terms) {
    tables[kTerms].AppendRow({term.images, term.bits, term.squared_bits, term.x0_mse});
  }
  tables[kImages].columns = 3;
  for (const ImageBits& image : sums.images) {
    tables[kImages].AppendRow({image.prior, image.middle, image.decoder});
  }
  return SaveNumberTables(path, tables, fingerprint);
}

absl::StatusOr<BoundSums> LoadBoundSums(const std::filesystem::path& path,
                                        const std::string& fingerprint) {
  absl::StatusOr<NumberTables> tables =
      LoadNumberTables(path, fingerprint, {{kTerms, 4}, {kImages, 3}});
  if (!tables.ok()) return tables.status();
  BoundSums sums;
  const NumberTable& terms = tables->at(kTerms);
  for (size_t i = 0; i < terms.rows(); ++i) {
    const auto row = terms.row(i);
    sums.terms.push_back({row[0], row[1], row[2], row[3]});
  }
  const NumberTable& images = tables->at(kImages);
  for (size_t i = 0; i < images.rows(); ++i) {
    const auto row = images.row(i);
    sums.images.push_back({row[0], row[1], row[2]});
  }
  return sums;
}

}  // namespace diffusiond
