#include "server/http/gallery.h"

#include <string>

#include "absl/strings/match.h"

namespace diffusiond {
namespace {

// No script but the server's own files: what a model or a class is called is never one. `data:` is
// the page's icon.
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const char* ContentTypeOf(absl::string_view name) {
  if (absl::EndsWith(name, ".js")) return "text/javascript; charset=utf-8";
  if (absl::EndsWith(name, ".css")) return "text/css; charset=utf-8";
  return "text/html; charset=utf-8";
}

}  // namespace

HttpAnswer GalleryAnswer(const EmbeddedFile& file) {
  return {.head = {.content_type = ContentTypeOf(file.name),
                   .headers = {{"Cache-Control", "no-cache"},
                               {"Content-Security-Policy", kPolicy},
                               {"Referrer-Policy", "no-referrer"},
                               {"X-Content-Type-Options", "nosniff"}}},
          .body = std::string(file.bytes)};
}

}  // namespace diffusiond
