#include "model/checkpoint/json_fields.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "model/files/file_status.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

bool Convert(const Json& from, bool* to) {
  if (!from.is_boolean()) return false;
  *to = from.get<bool>();
  return true;
}

bool Convert(const Json& from, int64_t* to) {
  if (!from.is_number_integer()) return false;
  if (from.is_number_unsigned() &&
      from.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
    return false;
  }
  *to = from.get<int64_t>();
  return true;
}

bool Convert(const Json& from, int* to) {
  int64_t wide;
  if (!Convert(from, &wide) || !std::in_range<int>(wide)) return false;
  *to = static_cast<int>(wide);
  return true;
}

bool Convert(const Json& from, double* to) {
  if (!from.is_number()) return false;
  *to = from.get<double>();
  return true;
}

bool Convert(const Json& from, std::string* to) {
  if (!from.is_string()) return false;
  *to = from.get<std::string>();
  return true;
}

}  // namespace

absl::StatusOr<Json> ParseJsonObject(absl::string_view text) {
  if (text.size() > kMaxJsonBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", text.size(), " bytes, at most ", kMaxJsonBytes, " are accepted"));
  }
  Json json;
  try {
    json = Json::parse(text.begin(), text.end());
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("is not JSON: ", Shown(error.what())));
  }
  if (!json.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a JSON object, found ", json.type_name()));
  }
  return json;
}

absl::StatusOr<std::string> FormatJson(const Json& object) {
  try {
    return object.dump(2) + "\n";
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot be written as JSON: ", Shown(error.what())));
  }
}

const Json* JsonFields::Find(const char* field) const {
  const auto found = object_.find(field);
  if (found == object_.end() || (null_is_absent_ && found->is_null())) return nullptr;
  return &*found;
}

void JsonFields::Fault(absl::string_view field, absl::string_view expected, const Json& found) {
  const std::string text =
      found.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  faults_.push_back(absl::StrCat(field, ": expected ", expected, ", found ", Shown(text)));
}

absl::Status JsonFields::status() const {
  if (faults_.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(faults_, "; "));
}

void JsonFields::Read(const char* field, bool* value) {
  const Json* found = Find(field);
  if (found != nullptr && !Convert(*found, value)) Fault(field, "true or false", *found);
}

void JsonFields::Read(const char* field, int64_t* value) {
  const Json* found = Find(field);
  if (found != nullptr && !Convert(*found, value)) Fault(field, "an integer", *found);
}

void JsonFields::Read(const char* field, int* value) {
  const Json* found = Find(field);
  if (found != nullptr && !Convert(*found, value)) Fault(field, "a small integer", *found);
}

void JsonFields::Read(const char* field, double* value) {
  const Json* found = Find(field);
  if (found != nullptr && !Convert(*found, value)) Fault(field, "a number", *found);
}

void JsonFields::Read(const char* field, std::string* value) {
  const Json* found = Find(field);
  if (found != nullptr && !Convert(*found, value)) Fault(field, "a string", *found);
}

template <typename T>
void JsonFields::ReadList(const char* field, const char* expected, std::vector<T>* value) {
  const Json* found = Find(field);
  if (found == nullptr) return;
  std::vector<T> list;
  bool ok = found->is_array();
  for (size_t i = 0; ok && i < found->size(); ++i) ok = Convert((*found)[i], &list.emplace_back());
  if (ok) {
    *value = std::move(list);
  } else {
    Fault(field, expected, *found);
  }
}

void JsonFields::Read(const char* field, std::vector<int64_t>* value) {
  ReadList(field, "a list of integers", value);
}

void JsonFields::Read(const char* field, std::vector<double>* value) {
  ReadList(field, "a list of numbers", value);
}

void JsonFields::Read(const char* field, std::vector<std::string>* value) {
  ReadList(field, "a list of strings", value);
}

}  // namespace diffusiond
