#include <cstdint>
#include <optional>
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
#include "client/commands/json_results.h"
#include "client/commands/request_flags.h"
#include "client/commands/starting_flags.h"
#include "client/image_grid.h"
#include "client/output_files.h"
#include "client/picture_codec.h"
#include "client/rpc_error.h"
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
ABSL_DECLARE_FLAG(std::string, class);
ABSL_DECLARE_FLAG(std::optional<uint64_t>, seed);

namespace diffusiond {
namespace {

constexpr size_t kMaxCells = 400;

std::string Label(const GridAxis& axis, size_t i) {
  return axis.name.empty() ? "" : absl::StrCat(axis.name, "=", axis.values[i]);
}

std::vector<std::string> Labels(const GridAxis& axis) {
  std::vector<std::string> labels;
  for (size_t i = 0; i < axis.values.size(); ++i) labels.push_back(Label(axis, i));
  return labels;
}

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
  if (const std::string fault = FaultOf(*option, *parsed); !fault.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", name, ": ", fault));
  }
  SetSampling({{name, *parsed}}, request->mutable_sampling());
  return absl::OkStatus();
}

absl::StatusOr<GridAxis> ParseAxis(const char* flag, const std::string& text) {
  if (text.empty()) return GridAxis{.name = "", .values = {""}};
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  GridAxis axis{.name = parts.first,
                .values = absl::StrSplit(parts.second, ',', absl::SkipEmpty())};
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
  GridAxis x, y;
  v1::GenerateRequest request;  // But for what the axes say.
  std::string out;
};

// What an axis varies is said once: else a label would name what another place of the command line
// overrules.
absl::Status CheckAxes(const GridAxis& x, const GridAxis& y, const OptionValues& options) {
  if (x.name == y.name) {
    return absl::InvalidArgumentError(
        absl::StrCat("--x and --y both vary ", x.name, ", expected two different choices"));
  }
  for (const auto& [flag, axis] : {std::pair{"--x", &x}, std::pair{"--y", &y}}) {
    const bool given = options.contains(axis->name) ||
                       (axis->name == "class" && !absl::GetFlag(FLAGS_class).empty()) ||
                       (axis->name == "seed" && absl::GetFlag(FLAGS_seed).has_value());
    if (given) {
      return absl::InvalidArgumentError(absl::StrCat("--", axis->name, " is given, and ", flag,
                                                     " varies it: expected one of them"));
    }
  }
  if (x.values.size() * y.values.size() > kMaxCells) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--x has ", x.values.size(), " values and --y ", y.values.size(), ", which is ",
        x.values.size() * y.values.size(), " images, expected at most ", kMaxCells));
  }
  return absl::OkStatus();
}

absl::StatusOr<Grid> GridByFlags(const OptionValues& options) {
  Grid grid;
  if (absl::GetFlag(FLAGS_x).empty()) {
    return absl::InvalidArgumentError("--x=NAME:V1,V2,... is needed, as in --x=steps:5,10,20");
  }
  ASSIGN_OR_RETURN(grid.x, ParseAxis("x", absl::GetFlag(FLAGS_x)));
  ASSIGN_OR_RETURN(grid.y, ParseAxis("y", absl::GetFlag(FLAGS_y)));
  RETURN_IF_ERROR(CheckAxes(grid.x, grid.y, options));
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

struct DrawnCell {
  Image image;
  v1::Receipt receipt;
};

// One image. A seed that the server draws holds for the images that follow.
absl::StatusOr<DrawnCell> Draw(const DiffusionClient& client, const v1::GenerateRequest& request,
                               v1::GenerateRequest* following, const CommandContext& context) {
  absl::StatusOr<Image> picture = absl::InternalError("no image came");
  GenerateCallbacks callbacks;
  callbacks.on_accepted = [following](const v1::Accepted& accepted) {
    if (!following->has_seed()) following->set_seed(accepted.parameters().seed());
  };
  callbacks.on_image = [&picture](const v1::Image& image) { picture = DecodePicture(image); };
  ASSIGN_OR_RETURN(v1::Completed completed,
                   client.Generate(request, callbacks, CallOptionsByFlags(context)));
  if (!picture.ok()) return picture.status();
  return DrawnCell{*std::move(picture), std::move(*completed.mutable_receipt())};
}

absl::StatusOr<std::vector<DrawnCell>> DrawAll(const DiffusionClient& client, Grid grid,
                                               const v1::Model& model, CommandContext& context) {
  std::vector<DrawnCell> cells;
  const size_t total = grid.x.values.size() * grid.y.values.size();
  for (size_t j = 0; j < grid.y.values.size(); ++j) {
    for (size_t i = 0; i < grid.x.values.size(); ++i) {
      v1::GenerateRequest request = grid.request;
      RETURN_IF_ERROR(Set("x", grid.x.name, grid.x.values[i], &request));
      RETURN_IF_ERROR(Set("y", grid.y.name, grid.y.values[j], &request));
      SpellClassAsTheModel(model, request);
      const std::string what =
          absl::StrCat(Label(grid.x, i), grid.y.name.empty() ? "" : ", ", Label(grid.y, j));
      if (!absl::GetFlag(FLAGS_quiet)) {
        *context.err << cells.size() + 1 << " of " << total << ": " << Printable(what) << std::endl;
      }
      absl::StatusOr<DrawnCell> cell = Draw(client, request, &grid.request, context);
      if (!cell.ok()) {
        return WithPrefix(what, cell.status());
      }
      cells.push_back(*std::move(cell));
    }
  }
  return cells;
}

// Whatever is wrong with the whole is said before anything is drawn.
absl::Status CheckSize(const Grid& grid, const v1::Model& model) {
  const auto width = static_cast<int>(model.width()), height = static_cast<int>(model.height());
  const Image blank = {width, height, 1, std::vector<uint8_t>(size_t(width) * height)};
  const std::vector<Image> blanks(grid.x.values.size() * grid.y.values.size(), blank);
  return CheckImage(ComposeGrid(blanks, Labels(grid.x), Labels(grid.y)));
}

absl::Status DrawGrid(const DiffusionClient& client, const Grid& grid, CommandContext& context) {
  ASSIGN_OR_RETURN(const v1::Model model,
                   client.GetModel(grid.request.model(), CallOptionsByFlags(context)));
  RETURN_IF_ERROR(CheckSize(grid, model));
  if (grid.out != kStandardOutput) {
    if (absl::Status place = CheckFile(grid.out); !place.ok()) return WithPrefix("--out", place);
  }
  ASSIGN_OR_RETURN(std::vector<DrawnCell> cells, DrawAll(client, grid, model, context));
  std::vector<Image> images;
  std::vector<v1::Receipt> receipts;
  for (DrawnCell& cell : cells) {
    images.push_back(std::move(cell.image));
    receipts.push_back(std::move(cell.receipt));
  }
  ASSIGN_OR_RETURN(const std::string png,
                   EncodePng(ComposeGrid(images, Labels(grid.x), Labels(grid.y))));
  if (grid.out == kStandardOutput) {
    *context.out << png;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(SaveFile(grid.out, png));
  if (absl::GetFlag(FLAGS_json)) {
    *context.out << GridJson(grid.x, grid.y, receipts, grid.out);
    return absl::OkStatus();
  }
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
  return status.ok() ? kExitOk : ReportError(WithFlagNames(status), context);
}

}  // namespace

Command GridCommand() {
  std::vector<std::string> flags = {
      "x",     "y",    "out",     "model", "model_digest", "class", "seed", "first_image_index",
      "quiet", "json", "priority"};
  for (const auto* more : {&kStartingFileFlags, &kFitFlags}) {
    flags.insert(flags.end(), more->begin(), more->end());
  }
  return {.name = "grid",
          .arguments = "",
          .summary = "compare choices: a picture of labelled images, of one seed",
          .details =
              "  diffusionctl grid --x=steps:5,10,20 --y=sampler:ddim,unipc --class=sneaker\n"
              "An axis is class, seed or any of the options below. Written to --out, or\n"
              "grid.png. With --json: of each image the values and the receipt.\n",
          .flags = WithConnectionFlags(std::move(flags)),
          .aliases = {{"class_name", "class"}, {"class_id", "class"}, {"picture_fit", "fit"}},
          .options = SamplingOptionSpecs(),
          .run = Run};
}

}  // namespace diffusiond
