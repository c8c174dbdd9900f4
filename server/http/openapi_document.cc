#include "server/http/openapi_document.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"
#include "server/http/message_schemas.h"
#include "server/rpc/version.h"

namespace diffusiond {
namespace {

using Json = nlohmann::ordered_json;

absl::string_view FileNamed(absl::string_view name) {
  for (const EmbeddedFile& file : OpenApiFiles()) {
    if (file.name == name) return file.bytes;
  }
  return "";
}

// Names of schemas that the document refers to.
void CollectReferences(const Json& json, std::set<std::string>& names) {
  if (json.is_object()) {
    const auto reference = json.find("$ref");
    if (reference != json.end() && reference->is_string()) {
      const std::string text = reference->get<std::string>();
      absl::string_view name = text;
      if (absl::ConsumePrefix(&name, "#/components/schemas/")) names.insert(std::string(name));
    }
  }
  if (json.is_structured()) {
    for (const Json& part : json) CollectReferences(part, names);
  }
}

// As RequestOfFields takes them.
Json FieldsOnOneFloor(const MessageSchemas& messages) {
  Json fields = {{"class",
                  {{"anyOf", {{{"type", "string"}}, {{"type", "integer"}, {"minimum", 0}}}},
                   {"description", "A class's name, case ignored, or else its number."}}}};
  for (const char* message : {"GenerateRequest", "SamplingOptions", "PreviewOptions"}) {
    const Json of_message = messages.FlatFields(message);
    for (const auto& [name, schema] : of_message.items()) {
      if (!fields.contains(name)) fields[name] = schema;
    }
  }
  return fields;
}

// Beside those that the file has.
Json QueryParameters(Json parameters, const Json& fields) {
  for (const auto& [name, field] : fields.items()) {
    Json schema = field;
    Json parameter = {{"name", name}, {"in", "query"}};
    if (schema.contains("description")) {
      parameter["description"] = schema["description"];
      schema.erase("description");
    }
    parameter["schema"] = std::move(schema);
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

std::string MakeDocument() {
  Json document = Json::parse(FileNamed("openapi.json"), nullptr, /*allow_exceptions=*/false);
  const MessageSchemas messages(FileNamed("diffusion.binpb"));
  document["info"]["version"] = std::string(kServerVersion);
  const Json fields = FieldsOnOneFloor(messages);
  Json& query = document["paths"]["/v1/generate"]["get"]["parameters"];
  query = QueryParameters(std::move(query), fields);
  Json& schemas = document["components"]["schemas"];
  schemas = Json::parse(FileNamed("schemas.json"), nullptr, /*allow_exceptions=*/false);
  // Of what theirs call otherwise, and of what acts on pictures alone, the file tells.
  const std::set<std::string> told = {"class",  "class_id",    "class_name", "count",
                                      "format", "picture_fit", "strength"};
  Json& properties = schemas["ImageGenerationRequest"]["properties"];
  for (const auto& [name, field] : fields.items()) {
    if (told.count(name) == 0 && !properties.contains(name)) properties[name] = field;
  }
  std::set<std::string> names;
  CollectReferences(document, names);
  for (const std::string& name : names) messages.Add(name, schemas);
  return absl::StrCat(document.dump(2), "\n");
}

}  // namespace

const std::string& OpenApiDocument() {
  static const auto* const document = new std::string(MakeDocument());
  return *document;
}

}  // namespace diffusiond
