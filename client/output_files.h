// Where the images of a request go.
#ifndef DIFFUSIOND_CLIENT_OUTPUT_FILES_H_
#define DIFFUSIOND_CLIENT_OUTPUT_FILES_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// File names for one request. A value; safe to copy.
class OutputFiles {
 public:
  // `out` is a directory ("", ".", "sheets/", or one that exists), or a file name with the
  // extension of an image format. In a directory the names are MODEL-CLASS-SEED-INDEX.EXTENSION; a
  // file name is taken as it is for one image, and gets "-INDEX" before its extension for more.
  OutputFiles(const std::string& out, const v1::ResolvedParameters& parameters);

  // Indices are padded with zeros, so that names sort as indices do.
  std::string ImagePath(uint32_t index) const;
  std::string ReceiptPath() const;  // Beside the images.

 private:
  std::string stem_;  // Directory and name without index and extension.
  std::string extension_;
  uint32_t count_;
  uint32_t last_index_;
  bool named_by_user_ = false;
};

// "T-shirt/top" -> "t-shirt-top": lower-case letters, digits, '.', '_' and single dashes.
std::string ForFileName(const std::string& text);

// True: `out` names a file, by its extension; its format is put into `format`.
bool NamesImageFile(const std::string& out, v1::ImageFormat* format);

// Writes whole or not at all (a file beside it, renamed), making missing directories.
absl::Status SaveFile(const std::string& path, const std::string& bytes);

// To be asked before work whose result is to be saved: whether SaveFile can make files in `folder`
// ("": here), or write `path`. Both make missing directories, and leave nothing else behind.
absl::Status CheckFolder(const std::string& folder);
absl::Status CheckFile(const std::string& path);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_OUTPUT_FILES_H_
