// Any bytes as version.json and as pinned_version: refused, or what they say is written and read
// again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "model/checkpoint/model_versions.h"
#include "tests/fuzz/scratch_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diffusiond;
  static const ScratchFolder folder;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  folder.Write(kVersionRecordName, text);
  folder.Write(kPinnedVersionName, text);
  const auto record = ReadVersionRecord(folder.path());
  if (record.ok()) {
    if (!record->has_value() || (*record)->digest.size() != 64) std::abort();
    const auto written = FormatVersionRecord(**record);
    if (!written.ok()) std::abort();
    folder.Write(kVersionRecordName, *written);
    const auto again = ReadVersionRecord(folder.path());
    if (!again.ok() || !again->has_value() || (*again)->digest != (*record)->digest ||
        (*again)->published != (*record)->published) {
      std::abort();
    }
  }
  const auto pinned = ReadPinnedVersion(folder.path());
  if (pinned.ok() && pinned->has_value() && (**pinned < 1 || **pinned > kMaxModelVersion)) {
    std::abort();
  }
  return 0;
}
