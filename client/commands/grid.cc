#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/commands/commands.h"
#include "client/commands/connection.h"
#include "client/commands/generation_run.h"
#include "client/commands/request_flags.h"
#include "client/commands/starting_flags.h"
#include "client/image_grid.h"
#include "client/output_files.h"
#include "client/picture_codec.h"
#include "client/sampling_options.h"
#include "model/imaging/png.h"
#include "model/process/nearest_word.h"
#include "model/process/printable_text.h"
#include "model/status/status_macros.h"

ABSL_FLAG(std::string, x, "", "=NAME:V1,V2,...: what goes from left to right, as in steps:5,10,20");
ABSL_FLAG(std::string, y, "",
          "=NAME:V1,V2,...: what goes from top to bottom; nothing if not given");

ABSL_DECLARE_FLAG(std::string, out);
ABSL_DECLARE_FLAG(bool, quiet);

namespace diffusiond {
namespace {

constexpr size_t kMaxCells = 400;

struct Axis {
  std::string name;                 // Empty: one place without a label.
  std::vector<std::string> values;  // At least one.

  std::string Label(size_t i) const {
    return name.empty() ? "" : absl::StrCat(name, "=", values[i]);
  }
  std::vector<std::string> Labels() const {
    std::vector<std::string> labels;
    for (size_t i = 0; i < values.size(); ++i) labels.push_back(Label(i));
    return labels;
  }
};

// Of axis `flag`: puts the value into the request.
absl::Status Set(const char* flag, const std::string& name, const std::string& value,
                 v1::GenerateRequest* request) {
  const auto wrong = [&](absl::string_view expected) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, ": ", name, " is '", value, "', expected ", expected));
  };
  if (name.empty()) return absl::OkStatus();
  if (name == "class") {
    SetClass(value, request);
    return absl::OkStatus();
  }
  if (name == "seed") {
    uint64_t seed = 0;
    if (!absl::SimpleAtoi(value, &seed)) return wrong("a whole number");
    request->set_seed(seed);
    return absl::OkStatus();
  }
  const OptionSpec* const option = FindSamplingOption(name);
  if (option == nullptr) {
    std::vector<std::string> names = {"class", "seed"};
    for (const OptionSpec& each : SamplingOptionSpecs()) names.emplace_back(each.name);
    const std::string meant = NearestWord(name, names);
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, ": '", name,
                     "' is not what a grid varies: class, seed or an option of samplers",
                     meant.empty() ? "" : absl::StrCat("; did you mean ", meant, "?")));
  }
  const std::optional<OptionValue> parsed = FromText(*option, value);
  if (!parsed.has_value()) return wrong(ValuesOf(*option));
  SetSampling({{name, *parsed}}, request->mutable_sampling());
  return absl::OkStatus();
}

absl::StatusOr<Axis> ParseAxis(const char* flag, const std::string& text) {
  if (text.empty()) return Axis{.name = "", .values = {""}};
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  Axis axis{.name = parts.first, .values = absl::StrSplit(parts.second, ',', absl::SkipEmpty())};
  if (axis.name.empty() || axis.values.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, ": '", text, "', expected NAME:V1,V2,... as in steps:5,10,20"));
  }
  v1::GenerateRequest tried;
  for (const std::string& value : axis.values) RETURN_IF_ERROR(Set(flag, axis.name, value, &tried));
  return axis;
}

// What is drawn, and what it is drawn for.
struct Grid {
  Axis x, y;
  v1::GenerateRequest request;  // But for what the axes say.
  std::string out;
};

absl::StatusOr<Grid> GridByFlags(const OptionValues& options) {
  Grid grid;
  if (absl::GetFlag(FLAGS_x).empty()) {
    return absl::InvalidArgumentError("--x=NAME:V1,V2,... is needed, as in --x=steps:5,10,20");
  }
  ASSIGN_OR_RETURN(grid.x, ParseAxis("x", absl::GetFlag(FLAGS_x)));
  ASSIGN_OR_RETURN(grid.y, ParseAxis("y", absl::GetFlag(FLAGS_y)));
  if (grid.x.values.size() * grid.y.values.size() > kMaxCells) {
    return absl::InvalidArgumentError(absl::StrCat(grid.x.values.size() * grid.y.values.size(),
                                                   " images are more than ", kMaxCells));
  }
  ASSIGN_OR_RETURN(grid.request, RequestByFlags(options));
  grid.request.set_count(1);
  grid.request.set_format(v1::IMAGE_FORMAT_PNG);
  grid.out = absl::GetFlag(FLAGS_out).empty() ? "grid.png" : absl::GetFlag(FLAGS_out);
  if (grid.out != kStandardOutput && !absl::EndsWithIgnoreCase(grid.out, ".png")) {
    return absl::InvalidArgumentError(
        absl::StrCat("--out=", grid.out, ": a grid is a PNG file, FILE.png or -"));
  }
  return grid;
}

// One image. A seed that the server draws holds for the images that follow.
absl::StatusOr<Image> Draw(const DiffusionClient& client, const v1::GenerateRequest& request,
                           v1::GenerateRequest* following, const CommandContext& context) {
  absl::StatusOr<Image> picture = absl::InternalError("no image came");
  GenerateCallbacks callbacks;
  callbacks.on_accepted = [following](const v1::Accepted& accepted) {
    if (!following->has_seed()) following->set_seed(accepted.parameters().seed());
  };
  callbacks.on_image = [&picture](const v1::Image& image) { picture = DecodePicture(image); };
  RETURN_IF_ERROR(client.Generate(request, callbacks, CallOptionsByFlags(context)).status());
  return picture;
}

absl::StatusOr<std::vector<Image>> DrawAll(const DiffusionClient& client, Grid grid,
                                           const v1::Model& model, CommandContext& context) {
  std::vector<Image> images;
  const size_t total = grid.x.values.size() * grid.y.values.size();
  for (size_t j = 0; j < grid.y.values.size(); ++j) {
    for (size_t i = 0; i < grid.x.values.size(); ++i) {
      v1::GenerateRequest request = grid.request;
      RETURN_IF_ERROR(Set("x", grid.x.name, grid.x.values[i], &request));
      RETURN_IF_ERROR(Set("y", grid.y.name, grid.y.values[j], &request));
      SpellClassAsTheModel(model, request);
      const std::string what =
          absl::StrCat(grid.x.Label(i), grid.y.name.empty() ? "" : ", ", grid.y.Label(j));
      if (!absl::GetFlag(FLAGS_quiet)) {
        *context.err << images.size() + 1 << " of " << total << ": " << Printable(what)
                     << std::endl;
      }
      absl::StatusOr<Image> image = Draw(client, request, &grid.request, context);
      if (!image.ok()) {
        return absl::Status(image.status().code(),
                            absl::StrCat(what, ": ", image.status().message()));
      }
      images.push_back(*std::move(image));
    }
  }
  return images;
}

// Whatever is wrong with the whole is said before anything is drawn.
absl::Status CheckSize(const Grid& grid, const v1::Model& model) {
  const auto width = static_cast<int>(model.width()), height = static_cast<int>(model.height());
  const Image blank = {width, height, 1, std::vector<uint8_t>(size_t(width) * height)};
  const std::vector<Image> blanks(grid.x.values.size() * grid.y.values.size(), blank);
  return CheckImage(ComposeGrid(blanks, grid.x.Labels(), grid.y.Labels()));
}

absl::Status DrawGrid(const DiffusionClient& client, const Grid& grid, CommandContext& context) {
  ASSIGN_OR_RETURN(const v1::Model model,
                   client.GetModel(grid.request.model(), CallOptionsByFlags(context)));
  RETURN_IF_ERROR(CheckSize(grid, model));
  ASSIGN_OR_RETURN(const std::vector<Image> images, DrawAll(client, grid, model, context));
  ASSIGN_OR_RETURN(const std::string png,
                   EncodePng(ComposeGrid(images, grid.x.Labels(), grid.y.Labels())));
  if (grid.out == kStandardOutput) {
    *context.out << png;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(SaveFile(grid.out, png));
  if (!absl::GetFlag(FLAGS_quiet)) *context.out << "grid     " << Printable(grid.out) << "\n";
  return absl::OkStatus();
}

int Run(const std::vector<std::string>&, CommandContext& context) {
  const absl::StatusOr<Grid> grid = GridByFlags(context.options);
  if (!grid.ok()) {
    *context.err << "diffusionctl: " << grid.status().message() << "\n";
    return kExitUsage;
  }
  const auto client = ConnectByFlags();
  if (!client.ok()) return ReportError(client.status(), context);
  const absl::Status status = DrawGrid(**client, *grid, context);
  return status.ok() ? kExitOk : ReportError(status, context);
}

}  // namespace

Command GridCommand() {
  std::vector<std::string> flags = {
      "x",     "y",       "out", "model", "model_digest", "class", "seed", "first_image_index",
      "quiet", "priority"};
  for (const auto* more : {&kStartingFileFlags, &kFitFlags}) {
    flags.insert(flags.end(), more->begin(), more->end());
  }
  return {.name = "grid",
          .arguments = "",
          .summary = "compare choices: a picture of labelled images, of one seed",
          .details =
              "  diffusionctl grid --x=steps:5,10,20 --y=sampler:ddim,unipc --class=sneaker\n"
              "An axis is class, seed or any of the options below. Written to --out, or\n"
              "grid.png.\n",
          .flags = WithConnectionFlags(std::move(flags)),
          .aliases = {{"class_name", "class"}, {"class_id", "class"}, {"picture_fit", "fit"}},
          .options = SamplingOptionSpecs(),
          .run = Run};
}

}  // namespace diffusiond
