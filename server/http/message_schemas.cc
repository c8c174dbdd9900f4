#include "server/http/message_schemas.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/protobuf/descriptor.pb.h"

namespace diffusiond {
namespace {

using Json = nlohmann::ordered_json;
using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::SourceLocation;

constexpr char kPackage[] = "diffusiond.v1.";
constexpr char kDuration[] = "google.protobuf.Duration";

// The comment before or behind it, its lines joined to paragraphs.
template <typename Described>
std::string CommentOf(const Described& described) {
  SourceLocation location;
  if (!described.GetSourceLocation(&location)) return "";
  std::string text;
  for (absl::string_view line :
       absl::StrSplit(absl::StrCat(location.leading_comments, location.trailing_comments), '\n')) {
    line = absl::StripAsciiWhitespace(line);
    const bool begins = text.empty() || text.back() == '\n';
    if (line.empty()) {
      if (!begins) text += "\n\n";
    } else {
      absl::StrAppend(&text, begins ? "" : " ", line);
    }
  }
  return std::string(absl::StripAsciiWhitespace(text));
}

template <typename Described>
Json Commented(const Described& described, Json schema) {
  const std::string comment = CommentOf(described);
  if (!comment.empty()) schema["description"] = comment;
  return schema;
}

Json Reference(const std::string& name) {
  return {{"$ref", absl::StrCat("#/components/schemas/", name)}};
}

// JSON has no infinity.
Json NumberSchema(const char* format) {
  return {{"anyOf",
           {{{"type", "number"}, {"format", format}},
            {{"type", "string"}, {"enum", {"Infinity", "-Infinity", "NaN"}}}}}};
}

// Of one value, in proto3's JSON.
Json ValueSchema(const FieldDescriptor& field) {
  switch (field.type()) {
    case FieldDescriptor::TYPE_BOOL:
      return {{"type", "boolean"}};
    case FieldDescriptor::TYPE_UINT32:
      return {{"type", "integer"}, {"minimum", 0}, {"maximum", 4294967295U}};
    case FieldDescriptor::TYPE_UINT64:  // JavaScript's numbers do not hold it.
      return {{"type", "string"}, {"format", "uint64"}, {"pattern", "^[0-9]+$"}};
    case FieldDescriptor::TYPE_FLOAT:
      return NumberSchema("float");
    case FieldDescriptor::TYPE_DOUBLE:
      return NumberSchema("double");
    case FieldDescriptor::TYPE_BYTES:
      return {{"type", "string"}, {"contentEncoding", "base64"}};
    case FieldDescriptor::TYPE_ENUM:
      return Reference(field.enum_type()->name());
    case FieldDescriptor::TYPE_MESSAGE:
      if (field.message_type()->full_name() == kDuration) {
        return {{"type", "string"}, {"pattern", "^-?[0-9]+(\\.[0-9]+)?s$"}};
      }
      return Reference(field.message_type()->name());
    default:
      return {{"type", "string"}};
  }
}

Json MessageSchema(const Descriptor& message) {
  Json properties = Json::object();
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    Json schema = ValueSchema(field);
    if (field.is_repeated()) schema = {{"type", "array"}, {"items", std::move(schema)}};
    properties[field.json_name()] = Commented(field, std::move(schema));
  }
  return Commented(message, {{"type", "object"}, {"properties", std::move(properties)}});
}

// A word's comment is told after it.
Json EnumSchema(const EnumDescriptor& words) {
  Json names = Json::array();
  std::vector<std::string> lines = {CommentOf(words)};
  for (int i = 0; i < words.value_count(); ++i) {
    const EnumValueDescriptor& word = *words.value(i);
    names.push_back(word.name());
    if (const std::string comment = CommentOf(word); !comment.empty()) {
      lines.push_back(absl::StrCat(word.name(), ": ", comment));
    }
  }
  std::string text;
  for (const std::string& line : lines) {
    if (!line.empty()) absl::StrAppend(&text, text.empty() ? "" : "\n\n", line);
  }
  Json schema = {{"type", "string"}, {"enum", std::move(names)}};
  if (!text.empty()) schema["description"] = text;
  return schema;
}

// "webp" of IMAGE_FORMAT_WEBP; without the first word, which says nothing.
Json ShortWords(const EnumDescriptor& words) {
  const std::string unspecified = words.value(0)->name();
  const absl::string_view prefix = absl::StripSuffix(unspecified, "UNSPECIFIED");
  Json names = Json::array();
  for (int i = 1; i < words.value_count(); ++i) {
    names.push_back(absl::AsciiStrToLower(absl::StripPrefix(words.value(i)->name(), prefix)));
  }
  return {{"type", "string"}, {"enum", std::move(names)}};
}

}  // namespace

MessageSchemas::MessageSchemas(absl::string_view descriptors) {
  google::protobuf::FileDescriptorSet files;
  files.ParseFromString(std::string(descriptors));
  for (const auto& file : files.file()) pool_.BuildFile(file);
}

void MessageSchemas::Add(const std::string& name, Json& schemas) const {
  if (schemas.contains(name)) return;
  const std::string full_name = absl::StrCat(kPackage, name);
  if (const EnumDescriptor* words = pool_.FindEnumTypeByName(full_name)) {
    schemas[name] = EnumSchema(*words);
  }
  const Descriptor* message = pool_.FindMessageTypeByName(full_name);
  if (message == nullptr) return;
  schemas[name] = MessageSchema(*message);
  for (int i = 0; i < message->field_count(); ++i) {
    const FieldDescriptor& field = *message->field(i);
    if (field.enum_type() != nullptr) Add(field.enum_type()->name(), schemas);
    if (field.message_type() != nullptr) Add(field.message_type()->name(), schemas);
  }
}

Json MessageSchemas::FlatFields(const std::string& message) const {
  Json fields = Json::object();
  const Descriptor* found = pool_.FindMessageTypeByName(absl::StrCat(kPackage, message));
  if (found == nullptr) return fields;
  for (int i = 0; i < found->field_count(); ++i) {
    const FieldDescriptor& field = *found->field(i);
    const bool is_value = !field.is_repeated() && field.message_type() == nullptr &&
                          field.type() != FieldDescriptor::TYPE_BYTES;
    if (!is_value) continue;
    Json schema = ValueSchema(field);
    if (field.enum_type() != nullptr) schema = ShortWords(*field.enum_type());
    if (field.type() == FieldDescriptor::TYPE_UINT64) {
      schema = {{"type", "integer"}, {"format", "uint64"}, {"minimum", 0}};
    }
    fields[field.name()] = Commented(field, std::move(schema));
  }
  return fields;
}

}  // namespace diffusiond
