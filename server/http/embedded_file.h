// A file that the build puts into the program (deploy/cmake/embed_files.cmake).
#ifndef DIFFUSIOND_SERVER_HTTP_EMBEDDED_FILE_H_
#define DIFFUSIOND_SERVER_HTTP_EMBEDDED_FILE_H_

#include "absl/strings/string_view.h"

namespace diffusiond {

struct EmbeddedFile {
  absl::string_view name;  // "index.html"
  absl::string_view bytes;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_EMBEDDED_FILE_H_
