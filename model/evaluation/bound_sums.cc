#include "model/evaluation/bound_sums.h"

#include <cmath>
#include <limits>

#include "model/evaluation/progress_file.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// Tables of the network's sums, and of the clipping sampler's.
constexpr char kTerms[] = "terms", kImages[] = "images";
constexpr char kClippedTerms[] = "clipped_terms", kClippedImages[] = "clipped_images";

void Save(const BoundSums& sums, NumberTable* terms, NumberTable* images) {
  terms->columns = 4;
  for (const TermSums& term : sums.terms) {
    terms->AppendRow({term.images, term.bits, term.squared_bits, term.x0_mse});
  }
  images->columns = 3;
  for (const ImageBits& image : sums.images) {
    images->AppendRow({image.prior, image.middle, image.decoder});
  }
}

BoundSums Load(const NumberTable& terms, const NumberTable& images) {
  BoundSums sums;
  for (size_t i = 0; i < terms.rows(); ++i) {
    const auto row = terms.row(i);
    sums.terms.push_back({row[0], row[1], row[2], row[3]});
  }
  for (size_t i = 0; i < images.rows(); ++i) {
    const auto row = images.row(i);
    sums.images.push_back({row[0], row[1], row[2]});
  }
  return sums;
}

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

absl::Status SaveBounds(const std::filesystem::path& path, const Bounds& bounds,
                        const std::string& fingerprint) {
  NumberTables tables;
  Save(bounds.network, &tables[kTerms], &tables[kImages]);
  Save(bounds.clipped, &tables[kClippedTerms], &tables[kClippedImages]);
  return SaveNumberTables(path, tables, fingerprint);
}

absl::StatusOr<Bounds> LoadBounds(const std::filesystem::path& path,
                                  const std::string& fingerprint) {
  ASSIGN_OR_RETURN(
      NumberTables tables,
      LoadNumberTables(path, fingerprint,
                       {{kTerms, 4}, {kImages, 3}, {kClippedTerms, 4}, {kClippedImages, 3}}));
  return Bounds{Load(tables.at(kTerms), tables.at(kImages)),
                Load(tables.at(kClippedTerms), tables.at(kClippedImages))};
}

}  // namespace diffusiond
