#include "server/http/flat_request.h"

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"
#include "model/process/quoted_value.h"
#include "server/http/json_body.h"
#include "server/rpc/field_violations.h"

namespace diffusiond {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kMaxTextBytes = 200;

// Leaves fields as they are that the text has not.
absl::Status Merge(const std::string& json, Message* message) {
  const std::unique_ptr<Message> read(message->New());
  const auto status = google::protobuf::util::JsonStringToMessage(json, read.get());
  if (status.ok()) message->MergeFrom(*read);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(Shortened(std::string(status.message()), kMaxTextBytes));
}

// By the proto's name or JSON's.
const FieldDescriptor* FieldOf(const Descriptor& message, const std::string& name) {
  const FieldDescriptor* field = message.FindFieldByName(name);
  return field != nullptr ? field : message.FindFieldByCamelcaseName(name);
}

// "webp" of IMAGE_FORMAT_WEBP.
const std::string* WordOf(const EnumDescriptor& words, const std::string& word) {
  const std::string upper = absl::AsciiStrToUpper(word);
  for (int i = 0; i < words.value_count(); ++i) {
    const std::string& name = words.value(i)->name();
    if (name == upper || absl::EndsWith(name, absl::StrCat("_", upper))) return &name;
  }
  return nullptr;
}

// What the field's type makes of texts, too.
nlohmann::json ValueOf(const FieldDescriptor& field, const nlohmann::json& value) {
  if (!value.is_string()) return value;
  const std::string text = value.get<std::string>();
  if (field.type() == FieldDescriptor::TYPE_BOOL) {
    if (text == "true" || text == "1") return true;
    if (text == "false" || text == "0") return false;
  }
  if (field.type() == FieldDescriptor::TYPE_ENUM) {
    const std::string* const word = WordOf(*field.enum_type(), text);
    if (word != nullptr) return *word;
  }
  return value;
}

class Reader {
 public:
  void Read(const std::string& key, const nlohmann::json& value) {
    if (key == "class") return ReadClass(value);
    if (Takes(&request_, key)) return ReadField(key, value, &request_);
    if (Takes(request_.mutable_sampling(), key)) {
      return ReadField(key, value, request_.mutable_sampling());
    }
    if (Takes(request_.mutable_preview(), key)) {
      return ReadField(key, value, request_.mutable_preview());
    }
    violations_.Add(Shortened(key, kMaxTextBytes),
                    "is no field of GenerateRequest, of its sampling or of its preview");
  }

  absl::StatusOr<v1::GenerateRequest> Take(bool previews) {
    if (!previews) request_.clear_preview();
    if (absl::Status status = violations_.ToStatus(); !status.ok()) return status;
    return std::move(request_);
  }

  bool has_preview() const { return request_.preview().ByteSizeLong() > 0; }

 private:
  static bool Takes(Message* message, const std::string& key) {
    return FieldOf(*message->GetDescriptor(), key) != nullptr;
  }

  void ReadClass(const nlohmann::json& value) {
    const std::string text = value.is_string() ? value.get<std::string>() : TextOf(value);
    uint32_t id = 0;
    if (absl::SimpleAtoi(text, &id)) {
      request_.set_class_id(id);
    } else {
      request_.set_class_name(text);
    }
  }

  void ReadField(const std::string& key, const nlohmann::json& value, Message* message) {
    const FieldDescriptor& field = *FieldOf(*message->GetDescriptor(), key);
    const nlohmann::json one = {{field.json_name(), ValueOf(field, value)}};
    if (!Merge(TextOf(one), message).ok()) {
      const std::string text = value.is_string() ? value.get<std::string>() : TextOf(value);
      violations_.Add(key, absl::StrCat(QuoteValue(text), " is no value of this field"));
    }
  }

  v1::GenerateRequest request_;
  FieldViolations violations_;
};

}  // namespace

absl::StatusOr<v1::GenerateRequest> RequestOfJson(const std::string& json) {
  v1::GenerateRequest request;
  const absl::Status status = Merge(json, &request);
  if (status.ok()) return request;
  return absl::InvalidArgumentError(
      absl::StrCat("the body is no GenerateRequest in JSON: ", status.message()));
}

absl::StatusOr<v1::GenerateRequest> RequestOfFields(const nlohmann::json& fields) {
  Reader reader;
  for (const auto& [key, value] : fields.items()) reader.Read(key, value);
  return reader.Take(reader.has_preview());
}

}  // namespace diffusiond
