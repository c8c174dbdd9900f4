#include "server/http/openai_images.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "model/status/status_macros.h"
#include "server/http/flat_request.h"
#include "server/http/http_errors.h"
#include "server/http/json_api.h"
#include "server/rpc/field_violations.h"
#include "server/rpc/proto_conversion.h"
#include "server/rpc/requested_model.h"

namespace diffusiond {
namespace {

using Json = nlohmann::ordered_json;

// Classes that an error names.
constexpr size_t kMaxNamedClasses = 50;

// Answers of one request.
struct Shape {
  std::string size;           // "32x32"
  std::string output_format;  // "png"
  bool url = false;           // In place of b64_json.
  int partial_images = 0;
};

Json Common(const Shape& shape) {
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

HttpAnswer WholeOf(const Shape& shape, const v1::GenerateImagesResponse& response) {
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

class OpenAiEvents final : public EventWriter {
 public:
  explicit OpenAiEvents(Shape shape) : shape_(std::move(shape)) {}
  std::string Piece(v1::GenerateEvent event) override {
    if (event.has_preview()) {
      const v1::Preview& preview = event.preview();
      int& sent = sent_[preview.image_index()];
      if (sent == shape_.partial_images) return "";
      return Told("image_generation.partial_image", preview.data(), preview.image_index(),
                  {{"partial_image_index", sent++}});
    }
    if (event.has_image()) {
      return Told("image_generation.completed", event.image().data(), event.image().image_index(),
                  {{"usage", NoUsage()}});
    }
    return "";
  }
  std::string ErrorPiece(const absl::Status& status) override {
    Json data = {{"type", "error"}};
    data.update(ErrorJson(status));
    return ServerSentEvent("error", data.dump());
  }

 private:
  std::string Told(const char* type, const std::string& data, uint32_t image, const Json& more) {
    Json json = {{"type", type},
                 {"b64_json", absl::Base64Escape(data)},
                 {"created_at", absl::ToUnixSeconds(absl::Now())}};
    json.update(Common(shape_));
    json.update(more);
    json["image_index"] = image;  // Theirs tells of one image alone.
    return ServerSentEvent(type, json.dump());
  }

  const Shape shape_;
  std::map<uint32_t, int> sent_;  // Partial images, by image.
};

// Takes the fields of theirs out of the body, noting each fault and going on.
class OpenAiReader {
 public:
  explicit OpenAiReader(Json body) : body_(std::move(body)) {}

  absl::StatusOr<HttpTask> Read(const ModelCatalog& catalog) {
    ASSIGN_OR_RETURN(const ModelCatalog::Model model,
                     RequestedModel(catalog, Text("model").value_or("")));
    shape_.size = absl::StrCat(model->width, "x", model->height);
    ReadPrompt(*model);
    ReadSize();
    ReadFormats();
    const bool stream = Switch("stream");
    ReadPartialImages(stream);
    for (const char* name : {"quality", "background", "style", "moderation"}) ReadAuto(name);
    body_.erase("user");
    if (const auto n = body_.find("n"); n != body_.end()) {
      fields_["count"] = *n;
      body_.erase(n);
    }
    RETURN_IF_ERROR(violations_.ToStatus());
    for (const auto& [key, value] : body_.items()) fields_[key] = value;
    ASSIGN_OR_RETURN(v1::GenerateRequest request, RequestOfFields(fields_));
    request.set_model(model->name);
    if (!stream) {
      return HttpTask{.request = std::move(request),
                      .whole = [shape = shape_](const v1::GenerateImagesResponse& response) {
                        return WholeOf(shape, response);
                      }};
    }
    SpreadPreviews(*model, &request);
    return HttpTask{.request = std::move(request),
                    .events = std::make_unique<OpenAiEvents>(shape_)};
  }

 private:
  // Takes a field; absent: it is not there, or null, or no text, which is noted.
  std::optional<std::string> Text(const char* name) {
    const auto found = body_.find(name);
    if (found == body_.end()) return std::nullopt;
    const Json value = *found;
    body_.erase(found);
    if (value.is_null()) return std::nullopt;
    if (value.is_string()) return value.get<std::string>();
    violations_.Add(name, absl::StrCat(QuoteValue(value.dump()), " is no text"));
    return std::nullopt;
  }

  bool Switch(const char* name) {
    const auto found = body_.find(name);
    if (found == body_.end()) return false;
    const Json value = *found;
    body_.erase(found);
    if (!value.is_boolean() && !value.is_null()) {
      violations_.Add(name, absl::StrCat(QuoteValue(value.dump()), " is neither true nor false"));
    }
    return value.is_boolean() && value.get<bool>();
  }

  void ReadPrompt(const ServedModel& model) {
    const std::optional<std::string> given = Text("prompt");
    if (!given.has_value()) {
      violations_.Add("prompt", "is missing");
      return;
    }
    const std::string prompt(absl::StripAsciiWhitespace(*given));
    if (!model.is_conditional) {
      if (prompt.empty() || absl::EqualsIgnoreCase(prompt, model.name)) return;
      violations_.Add("prompt", absl::StrCat(QuoteValue(prompt),
                                             " means nothing to a model without "
                                             "classes: leave it empty"));
      return;
    }
    for (const std::string& name : model.class_names) {
      if (!name.empty() && absl::EqualsIgnoreCase(prompt, name)) {
        fields_["class_name"] = name;
        return;
      }
    }
    if (uint32_t id = 0; absl::SimpleAtoi(prompt, &id)) {
      fields_["class_id"] = id;
      return;
    }
    std::vector<std::string> names(
        model.class_names.begin(),
        model.class_names.begin() +
            static_cast<std::ptrdiff_t>(std::min(kMaxNamedClasses, model.class_names.size())));
    std::string known = absl::StrCat(absl::StrJoin(names, ", "),
                                     names.size() < model.class_names.size() ? ", ..." : "");
    if (absl::c_all_of(names, [](const std::string& name) { return name.empty(); })) {
      known = absl::StrCat("the numbers 0 .. ", model.class_names.size() - 1);
    }
    violations_.Add("prompt", absl::StrCat(QuoteValue(prompt),
                                           " is no class of this model, which knows: ", known));
  }

  void ReadSize() {
    const std::string size = Text("size").value_or("auto");
    if (size == "auto" || size == shape_.size) return;
    violations_.Add("size", absl::StrCat(QuoteValue(size), " is not what the model draws: auto or ",
                                         shape_.size));
  }

  void ReadFormats() {
    shape_.output_format = Text("output_format").value_or("png");
    if (shape_.output_format != "png" && shape_.output_format != "webp" &&
        shape_.output_format != "jpeg") {
      violations_.Add("output_format", absl::StrCat(QuoteValue(shape_.output_format),
                                                    " is none of png, webp, jpeg"));
    }
    fields_["format"] = shape_.output_format;
    const std::string response = Text("response_format").value_or("b64_json");
    shape_.url = response == "url";
    if (response != "url" && response != "b64_json") {
      violations_.Add("response_format",
                      absl::StrCat(QuoteValue(response), " is neither b64_json nor url"));
    }
  }

  void ReadPartialImages(bool stream) {
    const auto found = body_.find("partial_images");
    if (found == body_.end()) return;
    const Json value = *found;
    body_.erase(found);
    if (value.is_null()) return;
    const bool good = value.is_number_integer() && value.get<int64_t>() >= 0 &&
                      value.get<int64_t>() <= kMaxPartialImages;
    if (!good) {
      violations_.Add("partial_images", absl::StrCat(QuoteValue(value.dump()), " is not in 0 .. ",
                                                     kMaxPartialImages));
    } else if (!stream && value.get<int>() > 0) {
      violations_.Add("partial_images", "needs stream: true");
    } else {
      shape_.partial_images = value.get<int>();
    }
  }

  void ReadAuto(const char* name) {
    const std::string value = Text(name).value_or("auto");
    if (value != "auto") {
      violations_.Add(name, absl::StrCat(QuoteValue(value), " is not known here: auto"));
    }
  }

  // Steps as the request has them, or as the model takes them unasked.
  void SpreadPreviews(const ServedModel& model, v1::GenerateRequest* request) const {
    if (shape_.partial_images == 0 || request->has_preview()) return;
    const auto asked = static_cast<int64_t>(request->sampling().steps());
    const int64_t steps = asked > 0 ? asked : std::max<int64_t>(1, model.defaults.sampling.steps);
    const int64_t parts = shape_.partial_images + 1;
    request->mutable_preview()->set_every_steps(
        static_cast<uint32_t>(std::max<int64_t>(1, (steps + parts - 1) / parts)));
    request->mutable_preview()->set_format(request->format());
  }

  Json body_;
  nlohmann::json fields_ = nlohmann::json::object();
  Shape shape_;
  FieldViolations violations_;
};

}  // namespace

absl::StatusOr<HttpTask> ReadOpenAiRequest(const HttpRequest& request,
                                           const ModelCatalog& catalog) {
  Json body = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) return absl::InvalidArgumentError("the body is no JSON object");
  return OpenAiReader(std::move(body)).Read(catalog);
}

Json OpenAiModel(const ServedModel& model, const RequestLimits& limits) {
  return {{"id", model.name},
          {"object", "model"},
          {"created", 0},
          {"owned_by", "diffusiond"},
          {"diffusiond", Json::parse(JsonOf(ToProto(model, limits)))}};
}

Json OpenAiModels(const ModelCatalog& catalog, const RequestLimits& limits) {
  Json data = Json::array();
  for (const auto& model : catalog.List()) data.push_back(OpenAiModel(*model, limits));
  return {{"object", "list"}, {"data", std::move(data)}};
}

}  // namespace diffusiond
