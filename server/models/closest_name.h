// Says that a name is unknown, in a way that helps.
#ifndef DIFFUSIOND_SERVER_MODELS_CLOSEST_NAME_H_
#define DIFFUSIOND_SERVER_MODELS_CLOSEST_NAME_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace diffusiond {

// "\"sneeker\" is unknown; did you mean \"sneaker\"? There are: ...", the list cut when it is long,
// the question left out when no name is near. Case does not count.
std::string UnknownName(absl::string_view name, absl::Span<const std::string> known);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_MODELS_CLOSEST_NAME_H_
