#include "server/rpc/version.h"

namespace diffusiond {

const char kServerVersion[] = DIFFUSIOND_VERSION;

}  // namespace diffusiond
