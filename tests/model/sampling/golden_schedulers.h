// Reads what is under <golden>/scheduler (tests/golden/README.md).
#ifndef DIFFUSIOND_TESTS_MODEL_SAMPLING_GOLDEN_SCHEDULERS_H_
#define DIFFUSIOND_TESTS_MODEL_SAMPLING_GOLDEN_SCHEDULERS_H_

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "model/checkpoint/safetensors.h"
#include "nlohmann/json.hpp"
#include "tests/model/checkpoint/golden_directory.h"

namespace diffusiond {

inline std::filesystem::path GoldenSchedulers() { return GoldenDirectory() / "scheduler"; }

// diffusers writes infinities as bare words, which are no JSON; null is "not set" to the parser.
inline nlohmann::json ReadGoldenJson(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return nlohmann::json::parse(absl::StrReplaceAll(text.str(), {{"-Infinity", "null"}}));
}

// Empty if there is no such tensor.
template <typename T>
std::vector<T> GoldenValues(const TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) return {};
  std::vector<T> values(found->second.data.size() / sizeof(T));
  std::memcpy(values.data(), found->second.data.data(), found->second.data.size());
  return values;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_SAMPLING_GOLDEN_SCHEDULERS_H_
