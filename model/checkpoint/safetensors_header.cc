#include "model/checkpoint/safetensors_header.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/files/file_status.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

constexpr absl::string_view kMetadataKey = "__metadata__";

// Receives the parser's events, so that a hostile header never becomes a tree in memory and a
// repeated key is seen. Each handler returns false to stop, with status_ saying why.
class HeaderHandler : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a boolean"); }
  bool number_float(number_float_t, const string_t& text) override {
    return Unexpected(absl::StrCat("the number ", text));
  }
  bool number_integer(number_integer_t value) override {
    return Unexpected(absl::StrCat("the negative number ", value));
  }
  bool number_unsigned(number_unsigned_t value) override;
  bool string(string_t& value) override;
  bool binary(binary_t&) override { return Unexpected("binary data"); }
  bool start_object(std::size_t) override;
  bool key(string_t& key) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override;
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    return Fail(absl::StrCat("header is not JSON at byte ", position, ": ", Shown(error.what())));
  }

  const absl::Status& status() const { return status_; }
  SafetensorsHeader TakeHeader() { return std::move(header_); }

 private:
  // Where in the header's fixed nesting the parser stands.
  enum class Place { kStart, kTop, kMetadata, kEntry, kNumbers, kEnd };

  bool Fail(absl::string_view message) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(message);
    return false;
  }
  bool FailEntry(absl::string_view message) {
    return Fail(absl::StrCat("tensor ", Quoted(name_), ": ", message));
  }
  bool Unexpected(absl::string_view found);

  Place place_ = Place::kStart;
  std::string name_;   // Of the tensor being read, or kMetadataKey.
  std::string field_;  // Of the entry or metadata being read; empty before the first.
  std::vector<int64_t>* numbers_ = nullptr;
  size_t max_numbers_ = 0;
  bool has_metadata_ = false;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  SafetensorsHeaderEntry entry_;
  SafetensorsHeader header_;
  absl::Status status_;
};

bool HeaderHandler::Unexpected(absl::string_view found) {
  switch (place_) {
    case Place::kStart:
    case Place::kEnd:
      return Fail(absl::StrCat("header: expected an object, found ", found));
    case Place::kTop:
      return FailEntry(absl::StrCat("expected an object, found ", found));
    case Place::kMetadata:
      return Fail(
          absl::StrCat("__metadata__ ", Quoted(field_), ": expected a string, found ", found));
    case Place::kNumbers:
      return FailEntry(absl::StrCat(field_, ": expected integers of 0 or more, found ", found));
    case Place::kEntry:
      break;
  }
  const absl::string_view expected = field_ == "dtype" ? "a string" : "an array";
  return FailEntry(absl::StrCat(field_, ": expected ", expected, ", found ", found));
}

bool HeaderHandler::number_unsigned(number_unsigned_t value) {
  if (place_ != Place::kNumbers || value > uint64_t{std::numeric_limits<int64_t>::max()}) {
    return Unexpected(absl::StrCat("the number ", value));
  }
  if (numbers_->size() == max_numbers_) {
    return FailEntry(absl::StrCat(field_, ": more than ", max_numbers_, " numbers"));
  }
  numbers_->push_back(static_cast<int64_t>(value));
  return true;
}

bool HeaderHandler::string(string_t& value) {
  if (place_ == Place::kMetadata) {
    header_.metadata[field_] = std::move(value);
    return true;
  }
  if (place_ != Place::kEntry || field_ != "dtype") {
    return Unexpected(absl::StrCat("the string ", Quoted(value)));
  }
  const std::optional<Dtype> dtype = DtypeFromName(value);
  if (!dtype) {
    return FailEntry(absl::StrCat("dtype is ", Quoted(value),
                                  ", allowed: F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL"));
  }
  entry_.dtype = *dtype;
  return true;
}

bool HeaderHandler::start_object(std::size_t) {
  if (place_ == Place::kStart) {
    place_ = Place::kTop;
    return true;
  }
  if (place_ != Place::kTop) return Unexpected("an object");
  field_.clear();
  if (name_ == kMetadataKey) {
    place_ = Place::kMetadata;
    return true;
  }
  place_ = Place::kEntry;
  entry_ = {};
  has_dtype_ = has_shape_ = has_offsets_ = false;
  return true;
}

bool HeaderHandler::key(string_t& key) {
  if (place_ == Place::kTop) {
    name_ = std::move(key);
    const bool repeated = name_ == kMetadataKey ? std::exchange(has_metadata_, true)
                                                : header_.entries.contains(name_);
    return repeated ? Fail(absl::StrCat("header names ", Quoted(name_), " twice")) : true;
  }
  field_ = std::move(key);
  bool repeated = false;
  if (place_ == Place::kMetadata) {
    repeated = header_.metadata.contains(field_);
  } else if (field_ == "dtype") {
    repeated = std::exchange(has_dtype_, true);
  } else if (field_ == "shape") {
    repeated = std::exchange(has_shape_, true);
  } else if (field_ == "data_offsets") {
    repeated = std::exchange(has_offsets_, true);
  } else {
    return FailEntry(absl::StrCat("unknown field ", Quoted(field_)));
  }
  return repeated ? FailEntry(absl::StrCat(Quoted(field_), " is given twice")) : true;
}

bool HeaderHandler::end_object() {
  if (place_ == Place::kTop) {
    place_ = Place::kEnd;
    return true;
  }
  if (place_ == Place::kEntry) {
    if (!has_dtype_) return FailEntry("dtype is missing");
    if (!has_shape_) return FailEntry("shape is missing");
    if (entry_.data_offsets.size() != 2) {
      return FailEntry(
          absl::StrCat("data_offsets: expected 2 numbers, found ", entry_.data_offsets.size()));
    }
    header_.entries.emplace(name_, std::move(entry_));
  }
  place_ = Place::kTop;
  return true;
}

bool HeaderHandler::start_array(std::size_t) {
  if (place_ != Place::kEntry || field_ == "dtype") return Unexpected("an array");
  const bool is_shape = field_ == "shape";
  numbers_ = is_shape ? &entry_.shape : &entry_.data_offsets;
  max_numbers_ = is_shape ? kMaxTensorDimensions : 2;
  place_ = Place::kNumbers;
  return true;
}

bool HeaderHandler::end_array() {
  place_ = Place::kEntry;
  return true;
}

}  // namespace

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view json) {
  HeaderHandler handler;
  const bool complete = Json::sax_parse(json.begin(), json.end(), &handler);
  if (!handler.status().ok()) return handler.status();
  if (!complete) return absl::InvalidArgumentError("header is not JSON");
  return handler.TakeHeader();
}

}  // namespace diffusiond
