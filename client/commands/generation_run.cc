#include "client/commands/generation_run.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands/connection.h"
#include "client/commands/json_results.h"
#include "client/film_strip.h"
#include "client/generate_in_parts.h"
#include "client/output_files.h"
#include "client/picture_codec.h"
#include "client/picture_labels.h"
#include "client/picture_receipt.h"
#include "client/progress_meter.h"
#include "client/receipt_file.h"
#include "client/rpc_error.h"
#include "model/imaging/png.h"
#include "model/process/printable_text.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr uint32_t kMaxReels = 4;  // Images in a film strip; it is to be read, not searched.

absl::Duration ToDuration(const google::protobuf::Duration& proto) {
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

absl::Status SavePng(const std::string& path, const Image& image) {
  const absl::StatusOr<std::string> png = EncodePng(image);
  if (!png.ok())
    return absl::Status(png.status().code(), absl::StrCat(path, ": ", png.status().message()));
  return SaveFile(path, *png);
}

std::unique_ptr<GenerateDisplay> MakeDisplay(const v1::GenerateRequest& request, bool quiet,
                                             const CommandContext& context) {
  if (quiet) return MakeSilentDisplay();
  const bool previews = request.preview().every_steps() > 0;
  const v1::PreviewKind kind = request.preview().kind();
  DisplayOptions options{.out = context.err, .terminal = context.terminal, .now = context.now};
  options.expect_x_t = previews && (kind == v1::PREVIEW_KIND_X_T || kind == v1::PREVIEW_KIND_BOTH);
  options.expect_x0_hat = previews && kind != v1::PREVIEW_KIND_X_T;
  return context.terminal().interactive ? MakeLiveDisplay(std::move(options))
                                        : MakePlainDisplay(std::move(options));
}

absl::Status CheckPlace(const std::string& flag, const absl::Status& place) {
  return place.ok() ? place : WithPrefix(flag, place);
}

// Nothing is drawn that could not be kept.
absl::Status CheckPlaces(const GenerationOutputs& outputs, uint32_t count) {
  if (outputs.out.has_value() && outputs.out != kStandardOutput) {
    v1::ImageFormat unused;
    const std::string& out = *outputs.out;
    const bool file = NamesImageFile(out, &unused);
    RETURN_IF_ERROR(CheckPlace(
        "--out",
        file && count == 1
            ? CheckFile(out)
            : CheckFolder(file ? std::filesystem::path(out).parent_path().string() : out)));
  }
  if (!outputs.sheet.empty()) RETURN_IF_ERROR(CheckPlace("--sheet", CheckFile(outputs.sheet)));
  if (!outputs.strip.empty()) RETURN_IF_ERROR(CheckPlace("--strip", CheckFile(outputs.strip)));
  if (!outputs.write_receipt || outputs.receipt.empty()) return absl::OkStatus();
  return CheckPlace("--receipt", CheckFile(outputs.receipt));
}

class GenerationRun {
 public:
  GenerationRun(const GenerationOutputs& outputs, GenerateDisplay& display, CommandContext& context)
      : outputs_(outputs), display_(display), context_(context) {}

  GenerateCallbacks Callbacks() {
    GenerateCallbacks callbacks;
    callbacks.on_accepted = [this](const v1::Accepted& accepted) { OnAccepted(accepted); };
    callbacks.on_progress = [this](v1::Progress progress) {
      progress.set_image_index(progress.image_index() - first_image_index_);
      if (status_.ok()) display_.OnProgress(progress);
    };
    callbacks.on_preview = [this](v1::Preview preview) {
      preview.set_image_index(preview.image_index() - first_image_index_);
      OnPreview(preview);
    };
    callbacks.on_image = [this](const v1::Image& image) { OnImage(image); };
    return callbacks;
  }

  // The first failure of ours; it comes before what it made of the call.
  const absl::Status& status() const { return status_; }

  absl::Status SaveTheRest(const v1::Receipt& receipt) {
    RETURN_IF_ERROR(SaveWithReceipts(receipt));
    if (outputs_.write_receipt) {
      const std::string path = !outputs_.receipt.empty() ? outputs_.receipt : files_->ReceiptPath();
      RETURN_IF_ERROR(SaveFile(path, ReceiptToJson(receipt)));
      written_.emplace_back("receipt", path);
    }
    if (!outputs_.sheet.empty()) {
      RETURN_IF_ERROR(SavePng(outputs_.sheet, ComposeSheet(pictures_, labels_)));
      written_.emplace_back("sheet", outputs_.sheet);
    }
    if (!outputs_.strip.empty()) {
      for (size_t i = 0; i < reels_.size(); ++i) reels_[i].image = pictures_[i];
      RETURN_IF_ERROR(SavePng(outputs_.strip, ComposeFilmStrip(reels_, {.labels = labels_})));
      written_.emplace_back("strip", outputs_.strip);
    }
    return absl::OkStatus();
  }

  // The image that waits for its receipt, as it is: none comes.
  void GiveUpReceipts() {
    if (outputs_.out != kStandardOutput) return;
    for (const std::string& bytes : waiting_) *context_.out << bytes;
  }

  std::string Json(const v1::Completed& completed) const {
    WrittenFiles files{.images = saved_, .others = {written_.begin(), written_.end()}};
    return GenerationJson(completed, files, warnings_);
  }

  void PrintWritten() const {
    if (images_saved_ == 1) {
      PrintLine("image", first_image_);
    } else if (images_saved_ > 1) {
      PrintLine(
          "images",
          images_saved_ == pictures_.size()
              ? absl::StrCat(files_->ImagePath(first_image_index_), " .. ", last_image_)
              : absl::StrCat(images_saved_, " of ", pictures_.size(), ", such as ", first_image_));
    }
    for (const auto& [what, path] : written_) PrintLine(what, path);
  }

  void PrintTimings(const v1::Timings& timings) const {
    PrintLine("time", absl::StrCat(FormatSpan(ToDuration(timings.total())), ": queued ",
                                   FormatSpan(ToDuration(timings.queue())), ", computed ",
                                   FormatSpan(ToDuration(timings.compute()))));
  }

 private:
  void OnAccepted(const v1::Accepted& accepted) {
    first_image_index_ = accepted.parameters().first_image_index();
    pictures_.resize(accepted.parameters().count());
    saved_.resize(accepted.parameters().count());
    if (outputs_.embed_receipt && outputs_.out.has_value() &&
        CarriesReceipt(accepted.parameters().format())) {
      waiting_.resize(accepted.parameters().count());
    }
    reels_.resize(std::min(accepted.parameters().count(), kMaxReels));
    if (outputs_.labels) labels_ = LabelsOf(accepted.parameters());
    files_.emplace(outputs_.out.value_or(""), accepted.parameters());
    warnings_.assign(accepted.warnings().begin(), accepted.warnings().end());
    for (const std::string& warning : warnings_) {
      if (!outputs_.quiet) *context_.err << "warning: " << Printable(warning) << std::endl;
    }
    display_.OnAccepted(accepted);
  }

  void OnPreview(const v1::Preview& preview) {
    if (!status_.ok()) return;
    absl::StatusOr<Image> picture = DecodePicture(preview);
    if (!picture.ok()) {
      return Fail(absl::DataLossError(absl::StrCat("preview of image ",
                                                   first_image_index_ + preview.image_index(), ": ",
                                                   picture.status().message())));
    }
    display_.OnPreview(preview, *picture);
    // The last step's preview would stand in the strip beside the image that it equals.
    const bool last = preview.timestep() <= 0;
    if (outputs_.strip.empty() || preview.image_index() >= kMaxReels || last) return;
    FilmReel& reel = reels_[preview.image_index()];
    (preview.kind() == v1::PREVIEW_KIND_X_T ? reel.x_t : reel.x0_hat)[preview.steps_done()] =
        *std::move(picture);
  }

  void OnImage(v1::Image image) {
    if (!status_.ok()) return;
    const uint32_t place = image.image_index() - first_image_index_;
    absl::StatusOr<Image> picture = DecodePicture(image);
    if (!picture.ok()) {
      return Fail(absl::DataLossError(
          absl::StrCat("image ", image.image_index(), ": ", picture.status().message())));
    }
    if (outputs_.out == kStandardOutput) {
      if (waiting_.empty()) *context_.out << image.data();
    } else if (outputs_.out.has_value()) {
      const std::string path = files_->ImagePath(image.image_index());
      absl::Status saved = SaveFile(path, image.data());
      if (!saved.ok()) return Fail(std::move(saved));
      saved_[place] = path;
      if (images_saved_++ == 0) first_image_ = path;
      last_image_ =
          files_->ImagePath(first_image_index_ + static_cast<uint32_t>(pictures_.size()) - 1);
    }
    image.set_image_index(place);
    display_.OnImage(image, *picture);
    if (outputs_.on_picture) outputs_.on_picture(*picture);
    if (!waiting_.empty()) waiting_[place] = std::move(*image.mutable_data());
    pictures_[place] = *std::move(picture);
  }

  // Replaces the images that were saved as they came.
  absl::Status SaveWithReceipts(const v1::Receipt& receipt) {
    for (size_t place = 0; place < waiting_.size(); ++place) {
      ASSIGN_OR_RETURN(
          const std::string bytes,
          WithReceipt(waiting_[place], ReceiptOfImage(receipt, static_cast<int>(place))));
      if (outputs_.out == kStandardOutput) {
        *context_.out << bytes;
      } else {
        RETURN_IF_ERROR(SaveFile(saved_[place], bytes));
      }
    }
    waiting_.clear();
    return absl::OkStatus();
  }

  void Fail(absl::Status status) {
    status_ = std::move(status);
    context_.cancellation->Cancel();
  }

  void PrintLine(absl::string_view what, absl::string_view says) const {
    if (outputs_.quiet || outputs_.json) return;
    std::ostream& stream = outputs_.out == kStandardOutput ? *context_.err : *context_.out;
    stream << absl::StrFormat("%s%-9s%s\n", context_.terminal().interactive ? "  " : "", what,
                              Printable(says));
  }

  const GenerationOutputs& outputs_;
  GenerateDisplay& display_;
  CommandContext& context_;
  absl::Status status_;
  std::optional<OutputFiles> files_;   // From Accepted on.
  std::vector<std::string> warnings_;  // The server's.
  uint32_t first_image_index_ = 0;
  std::optional<PictureLabels> labels_;
  // By place: image_index less the first.
  std::vector<Image> pictures_;
  std::vector<FilmReel> reels_;
  std::vector<std::string> saved_;    // Paths; empty: not.
  std::vector<std::string> waiting_;  // Bytes of images that are to carry receipts.
  size_t images_saved_ = 0;
  std::string first_image_;
  std::string last_image_;
  std::vector<std::pair<std::string, std::string>> written_;
};

}  // namespace

absl::StatusOr<v1::Completed> RunGeneration(const DiffusionClient& client,
                                            const v1::GenerateRequest& request,
                                            const GenerationOutputs& outputs,
                                            CommandContext& context) {
  RETURN_IF_ERROR(CheckPlaces(outputs, request.count()));
  const std::unique_ptr<GenerateDisplay> display = MakeDisplay(request, outputs.quiet, context);
  GenerationRun run(outputs, *display, context);
  absl::StatusOr<v1::Completed> completed = GenerateInParts(
      client, request, outputs.max_count, run.Callbacks(), CallOptionsByFlags(context));
  if (!run.status().ok()) completed = run.status();
  display->OnEnd(completed.ok());
  if (!completed.ok()) run.GiveUpReceipts();
  if (completed.ok()) {
    absl::Status saved = run.SaveTheRest(completed->receipt());
    if (!saved.ok()) completed = saved;
  }
  run.PrintWritten();
  if (completed.ok()) run.PrintTimings(completed->timings());
  if (completed.ok() && outputs.json) *context.out << run.Json(*completed);
  return completed;
}

}  // namespace diffusiond
