#include "server/http/json_api.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "google/protobuf/util/json_util.h"
#include "model/status/status_macros.h"
#include "nlohmann/json.hpp"
#include "server/http/flat_request.h"
#include "server/http/http_errors.h"
#include "server/http/json_body.h"
#include "server/rpc/field_violations.h"

namespace diffusiond {
namespace {

class Events final : public EventWriter {
 public:
  std::string Piece(v1::GenerateEvent event) override {
    switch (event.event_case()) {
      case v1::GenerateEvent::kAccepted:
        return ServerSentEvent("accepted", JsonOf(event.accepted()));
      case v1::GenerateEvent::kProgress:
        return ServerSentEvent("progress", JsonOf(event.progress()));
      case v1::GenerateEvent::kPreview:
        return ServerSentEvent("preview", JsonOf(event.preview()));
      case v1::GenerateEvent::kImage:
        return ServerSentEvent("image", JsonOf(event.image()));
      case v1::GenerateEvent::kCompleted:
        return ServerSentEvent("completed", JsonOf(event.completed()));
      case v1::GenerateEvent::EVENT_NOT_SET:
        break;
    }
    return "";
  }
  std::string ErrorPiece(const absl::Status& status) override {
    return ServerSentEvent("error", TextOf(ErrorJson(status)));
  }
};

// As few digits as protobuf takes.
std::string NumberOf(float value) {
  std::string text = absl::StrFormat("%.6g", value);
  float read = 0;
  return absl::SimpleAtof(text, &read) && read == value ? text : absl::StrFormat("%.9g", value);
}

HttpAnswer WholeJson(const v1::GenerateImagesResponse& response) {
  return {.head = {.content_type = "application/json"},
          .body = absl::StrCat(JsonOf(response), "\n")};
}

const char* ContentTypeOf(v1::ImageFormat format) {
  switch (format) {
    case v1::IMAGE_FORMAT_WEBP:
      return "image/webp";
    case v1::IMAGE_FORMAT_JPEG:
      return "image/jpeg";
    case v1::IMAGE_FORMAT_RAW_FLOAT32:
      return "application/octet-stream";
    default:
      return "image/png";
  }
}

HttpAnswer OnePicture(v1::GenerateImagesResponse response) {
  // A header is ASCII, a class's name need not be.
  const std::string receipt = nlohmann::ordered_json::parse(JsonOf(response.receipt()))
                                  .dump(-1, ' ', /*ensure_ascii=*/true);
  v1::Image& image = *response.mutable_images(0);
  return {.head = {.content_type = ContentTypeOf(image.format()),
                   .headers = {{"Diffusiond-Receipt", receipt}}},
          .body = std::move(*image.mutable_data())};
}

bool Accepts(const HttpRequest& request, const char* type) {
  const std::string* const accept = FindHeader(request.headers, "accept");
  return accept != nullptr && absl::StrContains(*accept, type);
}

std::optional<v1::ImageFormat> PictureOf(const HttpRequest& request) {
  if (Accepts(request, "image/png")) return v1::IMAGE_FORMAT_PNG;
  if (Accepts(request, "image/webp")) return v1::IMAGE_FORMAT_WEBP;
  if (Accepts(request, "image/jpeg")) return v1::IMAGE_FORMAT_JPEG;
  return std::nullopt;
}

absl::StatusOr<HttpTask> TaskOf(const HttpRequest& http, v1::GenerateRequest request,
                                bool picture_unless_asked) {
  if (Accepts(http, "text/event-stream")) {
    return HttpTask{.request = std::move(request), .events = std::make_unique<Events>()};
  }
  const std::optional<v1::ImageFormat> picture = PictureOf(http);
  const bool wants_json = Accepts(http, "application/json");
  if (!picture.has_value() && (wants_json || !picture_unless_asked)) {
    return HttpTask{.request = std::move(request), .whole = WholeJson};
  }
  if (request.count() > 1) {
    FieldViolations violations;
    violations.Add("count", absl::StrCat(request.count(),
                                         " is more than the one picture that an "
                                         "answer can be: Accept application/json or "
                                         "text/event-stream"));
    return violations.ToStatus();
  }
  if (request.format() == v1::IMAGE_FORMAT_UNSPECIFIED && picture.has_value()) {
    request.set_format(*picture);
  }
  return HttpTask{.request = std::move(request), .whole = OnePicture};
}

}  // namespace

std::string JsonOf(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  return status.ok() ? json : "{}";
}

std::string JsonOf(const v1::Progress& progress) {
  return absl::StrCat("{\"imageIndex\":", progress.image_index(),
                      ",\"stepsDone\":", progress.steps_done(),
                      ",\"stepsTotal\":", progress.steps_total(), "}");
}

std::string JsonOf(const v1::Preview& preview) {
  return absl::StrCat(
      "{\"imageIndex\":", preview.image_index(), ",\"stepsDone\":", preview.steps_done(),
      ",\"timestep\":", NumberOf(preview.timestep()), ",\"kind\":\"",
      v1::PreviewKind_Name(preview.kind()), "\",\"format\":\"",
      v1::ImageFormat_Name(preview.format()), "\",\"width\":", preview.width(),
      ",\"height\":", preview.height(), ",\"data\":\"", absl::Base64Escape(preview.data()), "\"}");
}

absl::StatusOr<HttpTask> ReadJsonRequest(const HttpRequest& request) {
  ASSIGN_OR_RETURN(v1::GenerateRequest parsed,
                   RequestOfJson(request.body.empty() ? "{}" : request.body));
  return TaskOf(request, std::move(parsed), /*picture_unless_asked=*/false);
}

absl::StatusOr<HttpTask> ReadQueryRequest(const HttpRequest& request, const ModelCatalog& catalog) {
  nlohmann::json fields = nlohmann::json::object();
  FieldViolations violations;
  for (const auto& [name, value] : request.query) {
    if (!fields.emplace(name, value).second) violations.Add(name, kNamedTwice);
  }
  ASSIGN_OR_RETURN(v1::GenerateRequest parsed,
                   RequestOfFields(fields, &catalog, std::move(violations)));
  return TaskOf(request, std::move(parsed), /*picture_unless_asked=*/true);
}

}  // namespace diffusiond
