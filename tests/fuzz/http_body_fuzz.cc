// Any bytes as the body of a form, or as the JSON or the query that fields are read of: refused, or
// read to something that is within its bytes.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "model/http/multipart_form.h"
#include "model/http/request_target.h"
#include "nlohmann/json.hpp"
#include "server/http/flat_request.h"

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

void ReadFields(const nlohmann::json& fields) {
  const auto request = RequestOfFields(fields);
  if (request.ok()) return;
  if (!absl::IsInvalidArgument(request.status())) std::abort();
}

}  // namespace
}  // namespace diffusiond

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace diffusiond;
  const std::string body(reinterpret_cast<const char*>(data), size);
  ReadForm(body);
  // A type is what the client says, too.
  ParseMultipartForm(body, "--b--").IgnoreError();
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (json.is_object()) ReadFields(json);
  RequestOfJson(body).IgnoreError();
  if (const auto query = ParseUrlEncoded(body); query.ok()) {
    nlohmann::json fields = nlohmann::json::object();
    for (const auto& [name, value] : *query) fields[name] = value;
    ReadFields(fields);
  }
  return 0;
}
