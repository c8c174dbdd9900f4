#include "client/message_json.h"

#include "google/protobuf/util/json_util.h"

namespace diffusiond {

namespace {

std::string Json(const google::protobuf::Message& message, bool indented) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = indented;
  options.always_print_primitive_fields = true;
  std::string json;
  // Fails on nothing but an Any of unknown type; the API's messages hold none.
  (void)google::protobuf::util::MessageToJsonString(message, &json, options);
  return json;
}

}  // namespace

std::string MessageJson(const google::protobuf::Message& message) {
  std::string json = Json(message, /*indented=*/true);
  if (json.empty() || json.back() != '\n') json += '\n';
  return json;
}

std::string MessageJsonLine(const google::protobuf::Message& message) {
  return Json(message, /*indented=*/false);
}

}  // namespace diffusiond
