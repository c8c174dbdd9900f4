// The gallery: the page that draws with this server in a browser.
#ifndef DIFFUSIOND_SERVER_HTTP_GALLERY_H_
#define DIFFUSIOND_SERVER_HTTP_GALLERY_H_

#include "absl/types/span.h"
#include "model/http/http_message.h"
#include "server/http/embedded_file.h"

namespace diffusiond {

// Of the folder gallery.
absl::Span<const EmbeddedFile> GalleryFiles();

// Answers for it may load and ask for what this server has, and nothing else.
HttpAnswer GalleryAnswer(const EmbeddedFile& file);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_GALLERY_H_
