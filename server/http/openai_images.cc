#include "server/http/openai_images.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/http/multipart_form.h"
#include "model/imaging/decode.h"
#include "model/imaging/png.h"
#include "model/process/printable_text.h"
#include "model/sampling/sampler.h"
#include "model/sampling/timesteps.h"
#include "model/status/status_macros.h"
#include "nlohmann/json.hpp"
#include "server/http/flat_request.h"
#include "server/http/json_body.h"
#include "server/http/openai_answers.h"
#include "server/rpc/field_violations.h"
#include "server/rpc/requested_model.h"

namespace diffusiond {
namespace {

using Json = nlohmann::json;

// Classes that an error names.
constexpr size_t kMaxNamedClasses = 50;

// Of a picture, as it is sent; empty: none.
struct OpenAiPictures {
  std::string image;
  std::string mask;
};

// Takes the fields of theirs out of the body, noting each fault and going on.
class OpenAiReader {
 public:
  OpenAiReader(const char* task, Json body, FieldViolations violations = {})
      : body_(std::move(body)), shape_{.task = task}, violations_(std::move(violations)) {}

  absl::StatusOr<HttpTask> Read(const ModelCatalog& catalog, OpenAiPictures pictures = {},
                                int max_picture_side = 0) {
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
    RefuseOurNames();
    if (!pictures.mask.empty()) {
      const int side = std::max({max_picture_side, model->width, model->height});
      pictures.mask = ReadMask(pictures.mask, side);
    }
    if (const auto n = body_.find("n"); n != body_.end()) {
      fields_["count"] = *n;
      body_.erase(n);
    }
    RETURN_IF_ERROR(violations_.ToStatus());
    for (const auto& [key, value] : body_.items()) fields_[key] = value;
    ASSIGN_OR_RETURN(v1::GenerateRequest request, RequestOfFields(fields_));
    request.set_model(model->name);
    if (!pictures.image.empty()) Place(std::move(pictures), &request);
    if (!stream) {
      return HttpTask{.request = std::move(request),
                      .whole = [shape = shape_](const v1::GenerateImagesResponse& response) {
                        return OpenAiAnswer(shape, response);
                      }};
    }
    SpreadPreviews(*model, &request);
    return HttpTask{.request = std::move(request), .events = OpenAiEventsOf(shape_)};
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
    violations_.Add(name, absl::StrCat(QuoteValue(TextOf(value)), " is no text"));
    return std::nullopt;
  }

  bool Switch(const char* name) {
    const auto found = body_.find(name);
    if (found == body_.end()) return false;
    const Json value = *found;
    body_.erase(found);
    if (!value.is_boolean() && !value.is_null()) {
      violations_.Add(name, absl::StrCat(QuoteValue(TextOf(value)), " is neither true nor false"));
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
    if (const std::string* const name = ClassNamed(model, prompt)) {
      fields_["class_name"] = *name;
      return;
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
      violations_.Add("partial_images", absl::StrCat(QuoteValue(TextOf(value)), " is not in 0 .. ",
                                                     kMaxPartialImages));
    } else if (!stream && value.get<int>() > 0) {
      violations_.Add("partial_images", "needs stream: true");
    } else {
      shape_.partial_images = value.get<int>();
    }
  }

  // They would say otherwise than theirs, and win.
  void RefuseOurNames() {
    for (const char* name :
         {"class", "class_id", "classId", "class_name", "className", "count", "format"}) {
      if (body_.erase(name) == 0) continue;
      const bool is_class = absl::StartsWith(name, "class");
      violations_.Add(is_class ? "prompt" : OpenAiName(name),
                      absl::StrCat("is what ", name, " is called here"));
    }
  }

  void ReadAuto(const char* name) {
    const std::string value = Text(name).value_or("auto");
    if (value != "auto") {
      violations_.Add(name, absl::StrCat(QuoteValue(value), " is not known here: auto"));
    }
  }

  static void Place(OpenAiPictures pictures, v1::GenerateRequest* request) {
    request->set_init_image(std::move(pictures.image));
    request->set_mask(std::move(pictures.mask));
    if (request->picture_fit() == v1::PICTURE_FIT_UNSPECIFIED) {
      request->set_picture_fit(v1::PICTURE_FIT_COVER);
    }
    if (request->mask().empty() && !request->sampling().has_strength()) {
      request->mutable_sampling()->set_strength(kEditStrength);
    }
  }

  // What is transparent in theirs is drawn: white in ours.
  std::string ReadMask(const std::string& file, int max_side) {
    const absl::StatusOr<Image> mask = DecodeTransparency(file, {.max_side = max_side});
    const absl::StatusOr<std::string> png = mask.ok() ? EncodePng(*mask) : mask.status();
    if (png.ok()) return *png;
    violations_.Add("mask", absl::StrCat(png.status().message(),
                                         "; what is transparent in a mask is drawn anew"));
    return "";
  }

  // Steps that are run, as the request has them, or as the sampler takes them unasked.
  static int64_t StepsOf(const ServedModel& model, const v1::SamplingOptions& asked) {
    const SamplingOptions& defaults = model.defaults.sampling;
    SamplingOptions options = {.steps = asked.steps(), .strength = 1};
    const Sampler* const sampler =
        FindSampler(asked.sampler().empty() ? defaults.sampler : asked.sampler());
    if (options.steps == 0 && sampler != nullptr) {
      options.steps = DefaultSteps(*sampler, defaults, model.scheduler.num_train_timesteps);
    }
    if (asked.has_strength()) options.strength = asked.strength();
    const absl::StatusOr<int64_t> skipped = SkippedSteps(options);
    return options.steps - (skipped.ok() ? *skipped : 0);
  }

  void SpreadPreviews(const ServedModel& model, v1::GenerateRequest* request) const {
    if (shape_.partial_images == 0 || request->preview().every_steps() > 0) return;
    const int64_t steps = StepsOf(model, request->sampling());
    // Evenly, and so that as many come as were asked for, if there are so many steps.
    const int64_t asked = shape_.partial_images;
    const int64_t every = std::min((steps + asked) / (asked + 1), (steps - 1) / asked);
    request->mutable_preview()->set_every_steps(static_cast<uint32_t>(std::max<int64_t>(1, every)));
    if (request->preview().format() == v1::IMAGE_FORMAT_UNSPECIFIED) {
      request->mutable_preview()->set_format(request->format());
    }
  }

  Json body_;
  nlohmann::json fields_ = nlohmann::json::object();
  OpenAiShape shape_;
  FieldViolations violations_;
};

// A form's texts that JSON has as something else.
Json ValueOf(const std::string& name, absl::string_view text) {
  if (name == "stream" && (text == "true" || text == "false")) return text == "true";
  if (int64_t number = 0; name == "partial_images" && absl::SimpleAtoi(text, &number)) {
    return number;
  }
  return std::string(text);
}

class EditForm {
 public:
  void Read(const FormPart& part) {
    const std::string name = part.name == "image[]" ? "image" : part.name;
    const bool is_file = name == "image" || name == "mask";
    if (!names_.insert(name).second) {
      violations_.Add(name, is_file ? "stands more than once in the form: an edit is of one picture"
                                    : "stands more than once in the form");
    } else if (is_file) {
      (name == "image" ? pictures_.image : pictures_.mask) = std::string(part.content);
    } else if (!IsUtf8(name) || !IsUtf8(part.content)) {
      violations_.Add(name, "is not UTF-8");
    } else {
      body_[name] = ValueOf(name, part.content);
    }
  }

  absl::StatusOr<HttpTask> Take(const ModelCatalog& catalog, int max_picture_side) {
    if (pictures_.image.empty()) violations_.Add("image", "is missing: a file, PNG, JPEG or WebP");
    return OpenAiReader("image_edit", std::move(body_), std::move(violations_))
        .Read(catalog, std::move(pictures_), max_picture_side);
  }

 private:
  std::set<std::string> names_;
  Json body_ = Json::object();
  OpenAiPictures pictures_;
  FieldViolations violations_;
};

}  // namespace

std::string OpenAiName(const std::string& field) {
  if (field == "count") return "n";
  if (field == "format") return "output_format";
  if (field == "class_name" || field == "class_id") return "prompt";
  if (field == "init_image") return "image";
  return FlatName(field);
}

absl::StatusOr<HttpTask> ReadOpenAiGeneration(const HttpRequest& request,
                                              const ModelCatalog& catalog) {
  ASSIGN_OR_RETURN(Json body, ParseJsonObject(request.body));
  return OpenAiReader("image_generation", std::move(body)).Read(catalog);
}

absl::StatusOr<HttpTask> ReadOpenAiEdit(const HttpRequest& request, const ModelCatalog& catalog,
                                        int max_picture_side) {
  const std::string* const type = FindHeader(request.headers, "content-type");
  ASSIGN_OR_RETURN(const std::vector<FormPart> parts,
                   ParseMultipartForm(type == nullptr ? "" : *type, request.body));
  EditForm form;
  for (const FormPart& part : parts) form.Read(part);
  return form.Take(catalog, max_picture_side);
}

}  // namespace diffusiond
