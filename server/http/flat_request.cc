#include "server/http/flat_request.h"

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"
#include "model/process/quoted_value.h"
#include "model/status/status_macros.h"
#include "server/http/json_body.h"
#include "server/rpc/requested_model.h"

namespace diffusiond {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;

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

// "png, webp, jpeg".
std::string WordsOf(const EnumDescriptor& words) {
  // All begin with the enumeration's name, and end with it in the one of 0, which is none.
  absl::string_view start = words.value(0)->name();
  absl::ConsumeSuffix(&start, "UNSPECIFIED");
  std::vector<std::string> told;
  for (int i = 0; i < words.value_count(); ++i) {
    absl::string_view name = words.value(i)->name();
    absl::ConsumePrefix(&name, start);
    if (name != "UNSPECIFIED") told.push_back(absl::AsciiStrToLower(name));
  }
  return absl::StrJoin(told, ", ");
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

// What the field's type takes; the API says itself where it takes less.
std::string TakenBy(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_INT32:
      return "a whole number, -2147483648 .. 2147483647";
    case FieldDescriptor::CPPTYPE_INT64:
      return "a whole number of 64 bits";
    case FieldDescriptor::CPPTYPE_UINT32:
      return "a whole number, 0 .. 4294967295";
    case FieldDescriptor::CPPTYPE_UINT64:
      return "a whole number, 0 .. 18446744073709551615";
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return "a number";
    case FieldDescriptor::CPPTYPE_ENUM:
      return WordsOf(*field.enum_type());
    case FieldDescriptor::CPPTYPE_STRING:
      return field.type() == FieldDescriptor::TYPE_BYTES ? "base64" : "text";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return "an object";
}

// Which fields were told. Of a oneof any tells all.
class ToldFields {
 public:
  void Note(const FieldDescriptor& field, const std::string& name, FieldViolations& violations) {
    const OneofDescriptor* const oneof = field.real_containing_oneof();
    Note(oneof != nullptr ? oneof->full_name() : field.full_name(), name, violations);
  }
  void Note(const std::string& what, const std::string& name, FieldViolations& violations) {
    const auto [told, is_new] = names_.emplace(what, name);
    if (is_new) return;
    violations.Add(Shortened(name, kMaxTextBytes),
                   absl::StrCat("stands beside ", told->second, ", and one alone may"));
  }

 private:
  std::map<std::string, std::string> names_;  // As they came, by what they tell.
};

// Names of one field that differ, and several fields of a oneof: protobuf would take the last.
void FindToldTwice(const nlohmann::json& object, const Descriptor& message, const std::string& path,
                   FieldViolations& violations) {
  ToldFields told;
  for (const auto& [key, value] : object.items()) {
    const FieldDescriptor* const field = FieldOf(message, key);
    if (field == nullptr || value.is_null()) continue;
    const std::string name = absl::StrCat(path, key);
    told.Note(*field, name, violations);
    if (field->message_type() == nullptr || !value.is_object()) continue;
    FindToldTwice(value, *field->message_type(), absl::StrCat(name, "."), violations);
  }
}

class Reader {
 public:
  explicit Reader(FieldViolations violations) : violations_(std::move(violations)) {}

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

  absl::StatusOr<v1::GenerateRequest> Take(const ModelCatalog* catalog) {
    if (request_.preview().ByteSizeLong() == 0) request_.clear_preview();
    if (class_.has_value()) SetClass(*class_, catalog);
    if (absl::Status status = violations_.ToStatus(); !status.ok()) return status;
    return std::move(request_);
  }

 private:
  static bool Takes(Message* message, const std::string& key) {
    return FieldOf(*message->GetDescriptor(), key) != nullptr;
  }

  void ReadClass(const nlohmann::json& value) {
    class_ = value.is_string() ? value.get<std::string>() : TextOf(value);
    const Descriptor& message = *request_.GetDescriptor();
    told_.Note(*message.FindFieldByName("class_name"), "class", violations_);
  }

  void SetClass(const std::string& text, const ModelCatalog* catalog) {
    const std::string* name = nullptr;
    absl::StatusOr<ModelCatalog::Model> model = absl::NotFoundError("not asked");
    if (catalog != nullptr) model = RequestedModel(*catalog, request_.model());
    if (model.ok()) name = ClassNamed(**model, text);
    uint32_t id = 0;
    if (name == nullptr && absl::SimpleAtoi(text, &id)) {
      request_.set_class_id(id);
    } else {
      request_.set_class_name(text);
    }
  }

  void ReadField(const std::string& key, const nlohmann::json& value, Message* message) {
    const FieldDescriptor& field = *FieldOf(*message->GetDescriptor(), key);
    if (!value.is_null()) told_.Note(field, key, violations_);
    const nlohmann::json one = {{field.json_name(), ValueOf(field, value)}};
    if (!Merge(TextOf(one), message).ok()) {
      const std::string text = value.is_string() ? value.get<std::string>() : TextOf(value);
      violations_.Add(key,
                      absl::StrCat(QuoteValue(text), " is no value of this field, which takes ",
                                   TakenBy(field)));
    }
  }

  v1::GenerateRequest request_;
  std::optional<std::string> class_;
  ToldFields told_;
  FieldViolations violations_;
};

}  // namespace

const std::string* ClassNamed(const ServedModel& model, absl::string_view name) {
  const auto found = absl::c_find_if(model.class_names, [name](const std::string& known) {
    return !known.empty() && absl::EqualsIgnoreCase(known, name);
  });
  return found != model.class_names.end() ? &*found : nullptr;
}

absl::StatusOr<v1::GenerateRequest> RequestOfJson(const std::string& json) {
  v1::GenerateRequest request;
  ASSIGN_OR_RETURN(const nlohmann::json object, ParseJsonObject(json));
  FieldViolations violations;
  FindToldTwice(object, *request.GetDescriptor(), "", violations);
  RETURN_IF_ERROR(violations.ToStatus());
  const absl::Status status = Merge(json, &request);
  if (status.ok()) return request;
  return absl::InvalidArgumentError(
      absl::StrCat("the body is no GenerateRequest in JSON: ", status.message()));
}

absl::StatusOr<v1::GenerateRequest> RequestOfFields(const nlohmann::json& fields,
                                                    const ModelCatalog* catalog,
                                                    FieldViolations violations) {
  Reader reader(std::move(violations));
  for (const auto& [key, value] : fields.items()) reader.Read(key, value);
  return reader.Take(catalog);
}

}  // namespace diffusiond
