// Typed fields out of a JSON object from a file.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_JSON_FIELDS_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_JSON_FIELDS_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

// Longest configuration file accepted. A thousand class names or betas take some 50 KB.
inline constexpr size_t kMaxJsonBytes = size_t{4} << 20;

// INVALID_ARGUMENT if `text` is too long, is not JSON, or is not an object.
absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view text);

// As people and Python write it: sorted keys, two spaces, a final newline. INVALID_ARGUMENT if a
// string in `object` is not UTF-8.
absl::StatusOr<std::string> FormatJson(const nlohmann::json& object);

// Reads fields one by one and remembers every fault. A field that is absent leaves the value as it
// is. A null is a fault unless the value is a std::optional (then it empties it) or
// `NullIsAbsent()` was chosen. Thread-compatible; `object` must outlive this.
class JsonFields {
 public:
  explicit JsonFields(const nlohmann::json& object) : object_(object) {}

  JsonFields& NullIsAbsent() {
    null_is_absent_ = true;
    return *this;
  }

  void Read(const char* field, bool* value);
  void Read(const char* field, int64_t* value);
  void Read(const char* field, int* value);
  void Read(const char* field, double* value);
  void Read(const char* field, std::string* value);
  void Read(const char* field, std::vector<int64_t>* value);
  void Read(const char* field, std::vector<double>* value);
  void Read(const char* field, std::vector<std::string>* value);

  template <typename T>
  void Read(const char* field, std::optional<T>* value) {
    const nlohmann::json* found = Find(field);
    if (found == nullptr) return;
    if (found->is_null()) {
      value->reset();
      return;
    }
    T read{};
    Read(field, &read);
    *value = std::move(read);
  }

  // Null if absent. The caller judges the value and reports through Fault.
  const nlohmann::json* Find(const char* field) const;

  void Fault(absl::string_view field, absl::string_view expected, const nlohmann::json& found);

  // OK, or INVALID_ARGUMENT with all faults.
  absl::Status status() const;

 private:
  template <typename T>
  void ReadList(const char* field, const char* expected, std::vector<T>* value);

  const nlohmann::json& object_;
  bool null_is_absent_ = false;
  std::vector<std::string> faults_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_JSON_FIELDS_H_
