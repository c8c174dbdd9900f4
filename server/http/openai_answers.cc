#include "server/http/openai_answers.h"

#include <cstdint>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "server/http/http_errors.h"
#include "server/http/json_api.h"
#include "server/http/json_body.h"

namespace diffusiond {
namespace {

using Json = nlohmann::ordered_json;

Json Common(const OpenAiShape& shape) {
  return {{"background", "opaque"},
          {"output_format", shape.output_format},
          {"quality", "auto"},
          {"size", shape.size}};
}

// No tokens are counted here; clients in languages with types want the field.
Json NoUsage() {
  return {{"total_tokens", 0},
          {"input_tokens", 0},
          {"output_tokens", 0},
          {"input_tokens_details", {{"text_tokens", 0}, {"image_tokens", 0}}}};
}

class OpenAiEvents final : public EventWriter {
 public:
  explicit OpenAiEvents(OpenAiShape shape) : shape_(std::move(shape)) {}
  std::string Piece(v1::GenerateEvent event) override {
    if (event.has_preview()) {
      const v1::Preview& preview = event.preview();
      int& sent = sent_[preview.image_index()];
      if (sent == shape_.partial_images) return "";
      return Told("partial_image", preview.data(), preview.image_index(),
                  {{"partial_image_index", sent++}});
    }
    if (event.has_image()) {
      return Told("completed", event.image().data(), event.image().image_index(),
                  {{"usage", NoUsage()}});
    }
    return "";
  }
  std::string ErrorPiece(const absl::Status& status) override {
    Json data = {{"type", "error"}};
    data.update(ErrorJson(status));
    return ServerSentEvent("error", TextOf(data));
  }

 private:
  std::string Told(const char* what, const std::string& data, uint32_t image, const Json& more) {
    const std::string type = absl::StrCat(shape_.task, ".", what);
    Json json = {{"type", type},
                 {"b64_json", absl::Base64Escape(data)},
                 {"created_at", absl::ToUnixSeconds(absl::Now())}};
    json.update(Common(shape_));
    json.update(more);
    json["image_index"] = image;  // Theirs tells of one image alone.
    return ServerSentEvent(type, json.dump());
  }

  const OpenAiShape shape_;
  std::map<uint32_t, int> sent_;  // Partial images, by image.
};

}  // namespace

HttpAnswer OpenAiAnswer(const OpenAiShape& shape, const v1::GenerateImagesResponse& response) {
  Json body = {{"created", absl::ToUnixSeconds(absl::Now())}};
  body.update(Common(shape));
  body["data"] = Json::array();
  for (const v1::Image& image : response.images()) {
    const std::string base64 = absl::Base64Escape(image.data());
    Json one = Json::object();
    if (shape.url) {
      one["url"] = absl::StrCat("data:image/", shape.output_format, ";base64,", base64);
    } else {
      one["b64_json"] = base64;
    }
    body["data"].push_back(std::move(one));
  }
  body["usage"] = NoUsage();
  body["receipt"] = Json::parse(JsonOf(response.receipt()));
  return {.head = {.content_type = "application/json"}, .body = absl::StrCat(body.dump(), "\n")};
}

std::unique_ptr<EventWriter> OpenAiEventsOf(OpenAiShape shape) {
  return std::make_unique<OpenAiEvents>(std::move(shape));
}

}  // namespace diffusiond
