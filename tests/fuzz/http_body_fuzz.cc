// Any bytes as the body of a form, or as the JSON or the query that fields are read of: refused by
// name, or read to something that is within its bytes; none throws.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "model/http/multipart_form.h"
#include "model/http/request_target.h"
#include "nlohmann/json.hpp"
#include "server/http/flat_request.h"
#include "server/http/http_errors.h"
#include "server/http/json_body.h"
#include "server/http/openai_images.h"
#include "server/models/model_catalog.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

void ReadForm(const std::string& body) {
  const auto parts = ParseMultipartForm("multipart/form-data; boundary=b", body);
  if (!parts.ok()) return;
  if (parts->size() > kMaxFormParts) std::abort();
  const char* end = body.data();
  for (const FormPart& part : *parts) {
    if (part.name.empty()) std::abort();
    if (absl::StrContains(part.content, "\r\n--b")) std::abort();
    if (part.content.empty()) continue;
    // One behind the other, inside the body.
    if (part.content.data() < end) std::abort();
    end = part.content.data() + part.content.size();
    if (end > body.data() + body.size()) std::abort();
  }
}

const ModelCatalog& Models() {
  static const ModelCatalog* const models = [] {
    auto* catalog = new ModelCatalog("clothes");
    catalog->Put(TestModel());
    return catalog;
  }();
  return *models;
}

// What a client is told is text.
void CheckRefusal(const absl::Status& status) {
  if (status.ok()) return;
  if (!absl::IsInvalidArgument(status) && !absl::IsNotFound(status)) std::abort();
  ErrorJson(InNamesOf(OpenAiName, status)).dump();
}

void ReadAsOpenAi(const std::string& body) {
  HttpRequest request = {.method = "POST", .path = "/v1/images/generations", .body = body};
  CheckRefusal(ReadOpenAiGeneration(request, Models()).status());
  request.headers = {{"Content-Type", "multipart/form-data; boundary=b"}};
  CheckRefusal(ReadOpenAiEdit(request, Models(), /*max_picture_side=*/64).status());
}

void ReadFields(const nlohmann::json& fields) { CheckRefusal(RequestOfFields(fields).status()); }

}  // namespace
}  // namespace diffusiond

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diffusiond;
  const std::string body(reinterpret_cast<const char*>(data), size);
  ReadForm(body);
  // A type is what the client says, too.
  ParseMultipartForm(body, "--b--").IgnoreError();
  if (const auto json = ParseJsonObject(body); json.ok()) ReadFields(*json);
  ReadAsOpenAi(body);
  RequestOfJson(body).IgnoreError();
  if (const auto query = ParseUrlEncoded(body); query.ok()) {
    nlohmann::json fields = nlohmann::json::object();
    for (const auto& [name, value] : *query) fields[name] = value;
    ReadFields(fields);
  }
  return 0;
}
