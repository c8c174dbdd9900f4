#include "model/process/build_version.h"

#include "absl/strings/str_cat.h"

namespace diffusiond {

// In a source of its own, which each build makes (deploy/cmake/build_commit.cmake): a commit
// compiles that one anew, and nothing else.
extern const char kBuildCommit[];

std::string BuildVersion() {
  return absl::StrCat(DIFFUSIOND_VERSION, " (commit ", kBuildCommit, ")");
}

}  // namespace diffusiond
