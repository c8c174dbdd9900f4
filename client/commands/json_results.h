// What commands print for programs, with --json.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_JSON_RESULTS_H_
#define DIFFUSIOND_CLIENT_COMMANDS_JSON_RESULTS_H_

#include <map>
#include <optional>
#include <span>
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
// [TEXT], "receipt", "timings"}; the last two are the API's messages. A sha256 is that of the image
// as the server sent it: of the file without the receipt that it may carry.
std::string GenerationJson(const v1::Completed& completed, const WrittenFiles& files,
                           const std::vector<std::string>& warnings);

// How the picture that carried a receipt stands to what it says and to what came now.
struct PictureInHand {
  bool same_bytes = false;   // As the receipt lists; else it was written again since.
  bool same_pixels = false;  // As one of the images that came now.
};

// {"identical", "differences": [TEXT], "images": [{"imageIndex", "then", "now"}]}: the SHA-256 of
// each image as the receipt has it and as it came now, and what of the server differs. Of a receipt
// in a picture also "picture": {"sameBytes", "samePixels"}.
std::string ReplayJson(const v1::Receipt& then, const v1::Receipt& now,
                       const std::vector<std::string>& differences,
                       const std::optional<PictureInHand>& picture);

// What goes along a side of a grid.
struct GridAxis {
  std::string name;                 // Empty: nothing; one place without a label.
  std::vector<std::string> values;  // As given; at least one.
};

// {"x": {"name", "values"}, "y": null if nothing goes that way, "images": [{"x", "y", "sha256",
// "receipt"}], "files": {"grid": PATH}}: the values that each image was drawn for, row by row as
// `receipts` are, and what replays it. The grid itself carries no receipt.
std::string GridJson(const GridAxis& x, const GridAxis& y, std::span<const v1::Receipt> receipts,
                     const std::string& path);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_COMMANDS_JSON_RESULTS_H_
