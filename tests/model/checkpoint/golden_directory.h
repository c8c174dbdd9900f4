// Where the golden fixtures are (tests/golden/README.md).
#ifndef DIFFUSIOND_TESTS_MODEL_CHECKPOINT_GOLDEN_DIRECTORY_H_
#define DIFFUSIOND_TESTS_MODEL_CHECKPOINT_GOLDEN_DIRECTORY_H_

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace diffusiond {

// The set that this run is about: any set in the same format.
inline std::filesystem::path GoldenDirectory() {
  const char* directory = std::getenv("DIFFUSIOND_GOLDEN_DIR");
  return directory != nullptr ? directory : "tests/golden";
}

// The set that is part of the sources, for tests that need a certain file of it.
inline std::filesystem::path ShippedGoldenDirectory() { return "tests/golden"; }

// The checkpoint directories under unet/ of a set, by name.
inline std::vector<std::filesystem::path> GoldenCheckpoints(const std::filesystem::path& set) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(set / "unet")) {
    if (entry.is_directory()) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_CHECKPOINT_GOLDEN_DIRECTORY_H_
