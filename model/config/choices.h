// Sets of values that a sampler's option is one of, and their words in files, the API and flags.
#ifndef DIFFUSIOND_MODEL_CONFIG_CHOICES_H_
#define DIFFUSIOND_MODEL_CONFIG_CHOICES_H_

#include <cstddef>
#include <optional>
#include <ostream>
#include <span>
#include <string>

#include "absl/strings/string_view.h"

namespace diffusiond {

// Of the noise that DDPM adds (Ho et al. 2020, section 3.2: beta-tilde, beta, or none); the last
// two are the network's (Nichol and Dhariwal 2021, equation 15).
enum class Variance { kFixedSmall, kFixedSmallLog, kFixedLarge, kZero, kLearned, kLearnedRange };

// Which of the training timesteps are visited: Lin et al. 2023, table 2.
enum class TimestepSpacing { kLeading, kTrailing, kLinspace };

// The method of the paper, or diffusers' where it differs: for those who compare.
enum class Arithmetic { kExact, kDiffusers };

// The noise levels: those of the timesteps, Karras et al. 2022 (equation 5), even in log(sigma), or
// Lee et al. 2024.
enum class SigmaSchedule { kTimesteps, kKarras, kExponential, kBeta };

// Where the last step ends: at the image, or at the least noise of training.
enum class FinalSigmas { kZero, kSigmaMin };

// Each means something to one or two samplers; Sampler::solver_types says which to which.
enum class SolverType { kSamplersOwn, kMidpoint, kHeun, kBh1, kBh2, kEuler, kRk4 };

// Of DPM-Solver++: the ODE, or the SDE (Lu et al. 2022, appendix A).
enum class DpmAlgorithm { kOde, kSde };

// By value of the enumeration.
template <typename Choice>
struct Words;

template <>
struct Words<Variance> {
  static constexpr absl::string_view kAll[] = {"fixed_small", "fixed_small_log", "fixed_large",
                                               "zero",        "learned",         "learned_range"};
};
template <>
struct Words<TimestepSpacing> {
  static constexpr absl::string_view kAll[] = {"leading", "trailing", "linspace"};
};
template <>
struct Words<Arithmetic> {
  static constexpr absl::string_view kAll[] = {"exact", "diffusers"};
};
template <>
struct Words<SigmaSchedule> {
  static constexpr absl::string_view kAll[] = {"timesteps", "karras", "exponential", "beta"};
};
template <>
struct Words<FinalSigmas> {
  static constexpr absl::string_view kAll[] = {"zero", "sigma_min"};
};
template <>
struct Words<SolverType> {
  static constexpr absl::string_view kAll[] = {"",    "midpoint", "heun", "bh1",
                                               "bh2", "euler",    "rk4"};
};
template <>
struct Words<DpmAlgorithm> {
  static constexpr absl::string_view kAll[] = {"dpmsolver++", "sde-dpmsolver++"};
};

template <typename Choice>
constexpr absl::string_view WordOf(Choice choice) {
  return Words<Choice>::kAll[static_cast<size_t>(choice)];
}

// Nothing, if it is none of the words.
template <typename Choice>
constexpr std::optional<Choice> FromWord(absl::string_view word) {
  const std::span<const absl::string_view> words = Words<Choice>::kAll;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == word) return static_cast<Choice>(i);
  }
  return std::nullopt;
}

// For flags of a choice: ABSL_FLAG(Choice, ...).
template <typename Choice>
requires requires { Words<Choice>::kAll; }
bool AbslParseFlag(absl::string_view text, Choice* choice, std::string* error) {
  const std::optional<Choice> found = FromWord<Choice>(text);
  if (found.has_value()) {
    *choice = *found;
    return true;
  }
  *error = "expected one of:";
  for (const absl::string_view word : Words<Choice>::kAll) {
    error->append(1, ' ').append(word.data(), word.size());
  }
  return false;
}

template <typename Choice>
requires requires { Words<Choice>::kAll; }
std::string AbslUnparseFlag(Choice choice) { return std::string(WordOf(choice)); }

template <typename Choice>
requires requires { Words<Choice>::kAll; }
std::ostream& operator<<(std::ostream& out, Choice choice) { return out << WordOf(choice); }

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CONFIG_CHOICES_H_
