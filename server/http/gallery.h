// The gallery: the page that draws with this server in a browser.
#ifndef DIFFUSIOND_SERVER_HTTP_GALLERY_H_
#define DIFFUSIOND_SERVER_HTTP_GALLERY_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "model/http/http_message.h"

namespace diffusiond {

struct GalleryFile {
  absl::string_view name;  // "index.html"
  absl::string_view bytes;
};

// Of the folder gallery, which the build puts into the program (deploy/cmake/embed_files.cmake).
absl::Span<const GalleryFile> GalleryFiles();

// Answers for it may load and ask for what this server has, and nothing else.
HttpAnswer GalleryAnswer(const GalleryFile& file);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_GALLERY_H_
