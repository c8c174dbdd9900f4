// Any text: the readers of configuration files refuse it, or give a value that survives being
// written and read again.
#include <cstdint>
#include <cstdlib>

#include "model/checkpoint/generation_defaults.h"
#include "model/checkpoint/model_index_json.h"
#include "model/checkpoint/scheduler_config_json.h"
#include "model/checkpoint/unet_config_json.h"

namespace {

template <typename T>
void RoundTrip(absl::string_view text, absl::StatusOr<T> (*parse)(absl::string_view),
               absl::StatusOr<std::string> (*format)(const T&)) {
  const absl::StatusOr<T> value = parse(text);
  if (!value.ok()) return;
  const absl::StatusOr<std::string> written = format(*value);
  if (!written.ok()) std::abort();
  const absl::StatusOr<T> again = parse(*written);
  if (!again.ok() || !(*again == *value)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diffusiond;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  RoundTrip(text, ParseUNetConfig, FormatUNetConfig);
  RoundTrip(text, ParseSchedulerConfig, FormatSchedulerConfig);
  RoundTrip(text, ParseGenerationDefaults, FormatGenerationDefaults);
  const absl::StatusOr<ModelIndex> index = ParseModelIndex(text);
  if (index.ok() && !FormatModelIndex(*index).ok()) std::abort();
  return 0;
}
