// A mapped file as text.
#ifndef DIFFUSIOND_MODEL_TRAINING_DATA_FILE_TEXT_H_
#define DIFFUSIOND_MODEL_TRAINING_DATA_FILE_TEXT_H_

#include <string_view>

#include "model/files/mapped_file.h"

namespace diffusiond {

// The file's bytes; they live as long as `file`.
inline std::string_view TextOf(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_DATA_FILE_TEXT_H_
