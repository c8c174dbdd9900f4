// Which right each method of the API asks for.
#ifndef DIFFUSIOND_SERVER_RPC_METHOD_RIGHTS_H_
#define DIFFUSIOND_SERVER_RPC_METHOD_RIGHTS_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "server/access/access_list.h"

namespace diffusiond {

struct MethodRule {
  bool open = false;  // To everybody: probes and whoever asks how the API looks.
  // Absent in one that is not open: nobody may.
  std::optional<Right> right = std::nullopt;
};

// `path` as HTTP/2 has it, "/diffusiond.v1.DiffusionService/Generate". Of a method that is not
// known here: nobody may, so that a new one is closed until somebody says for whom it is.
MethodRule RuleOf(absl::string_view path);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_METHOD_RIGHTS_H_
