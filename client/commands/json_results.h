// What commands print for programs, with --json.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_JSON_RESULTS_H_
#define DIFFUSIOND_CLIENT_COMMANDS_JSON_RESULTS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/flags/declare.h"
#include "diffusiond/v1/diffusion.pb.h"

ABSL_DECLARE_FLAG(bool, json);

namespace diffusiond {

// What a generation left on disk.
struct WrittenFiles {
  std::vector<std::string> images;  // By place, from first_image_index on; empty: not saved.
  std::map<std::string, std::string> others;  // By what they are: receipt, sheet, strip.
};

// {"images": [{"imageIndex", "path", "sha256"}], "files": {"receipt": PATH, ...}, "warnings":
// [TEXT], "receipt", "timings"}; the last two are the API's messages.
std::string GenerationJson(const v1::Completed& completed, const WrittenFiles& files,
                           const std::vector<std::string>& warnings);

// {"identical", "differences": [TEXT], "images": [{"imageIndex", "then", "now"}]}: the SHA-256 of
// each image as the receipt has it and as it came now, and what of the server differs.
std::string ReplayJson(const v1::Receipt& then, const v1::Receipt& now,
                       const std::vector<std::string>& differences);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_COMMANDS_JSON_RESULTS_H_
