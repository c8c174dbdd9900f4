// What the engine calls a model: its name, and which version of it.
#ifndef DIFFUSIOND_SERVER_ENGINE_MODEL_KEY_H_
#define DIFFUSIOND_SERVER_ENGINE_MODEL_KEY_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

// "mine/3", or "mine" for version 0. `copy` above 0 tells apart what was loaded from one place:
// "mine/3~1". Names hold neither '/' nor '~'.
// Made once for each, and never taken apart.
inline std::string ModelKey(absl::string_view name, int version, int copy) {
  return absl::StrCat(name, version > 0 ? absl::StrCat("/", version) : std::string(),
                      copy > 0 ? absl::StrCat("~", copy) : std::string());
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_MODEL_KEY_H_
