// Which build a program is of.
#ifndef DIFFUSIOND_MODEL_PROCESS_BUILD_VERSION_H_
#define DIFFUSIOND_MODEL_PROCESS_BUILD_VERSION_H_

#include <string>

namespace diffusiond {

// "0.1.0 (commit 1a2b3c4d5e6f)": the CMake project's version, and the sources' commit, with
// "-dirty" where they were changed since; "unknown" for sources outside git, unless the build was
// told by -DDIFFUSIOND_COMMIT.
std::string BuildVersion();

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_BUILD_VERSION_H_
