#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/commands/connection.h"
#include "client/commands/generation_run.h"
#include "client/commands/json_results.h"
#include "client/commands/starting_flags.h"
#include "client/receipt_file.h"
#include "client/saved_receipt.h"
#include "model/files/sha256.h"
#include "model/imaging/decode.h"
#include "model/process/printable_text.h"

ABSL_DECLARE_FLAG(std::string, out);
ABSL_DECLARE_FLAG(bool, embed_receipt);
ABSL_DECLARE_FLAG(bool, quiet);

namespace diffusiond {
namespace {

// What stands between the receipt and the same bytes, known before anything is drawn.
std::vector<std::string> DifferingGround(const v1::Receipt& receipt, const v1::Model& model) {
  std::vector<std::string> lines;
  if (receipt.model_digest() != model.digest()) {
    lines.push_back(absl::StrCat("model_digest: '", receipt.model_digest(), "' then, '",
                                 model.digest(), "' is served now; the old one is asked for"));
  }
  for (std::string& line : DifferingNumerics(receipt.numerics(), model.numerics())) {
    lines.push_back(std::move(line));
  }
  return lines;
}

void PrintLines(const std::vector<std::string>& lines, CommandContext& context) {
  for (const std::string& line : lines) *context.out << "  " << Printable(line) << "\n";
}

bool SamePixels(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height) return false;
  if (a.channels == b.channels) return a.pixels == b.pixels;
  return HasNoColour(a) && HasNoColour(b) && ToGrey(a).pixels == ToGrey(b).pixels;
}

// Whether its bytes are still those of an image of the receipt that it carried.
bool IsAsDrawn(const SavedReceipt& saved) {
  const auto& hashes = saved.receipt.image_sha256();
  return std::find(hashes.begin(), hashes.end(), Sha256Hex(saved.picture)) != hashes.end();
}

// Says what came of it, and returns the exit code.
int Tell(const v1::Receipt& then, const v1::Receipt& now,
         const std::optional<PictureInHand>& picture, const absl::Status& decoded,
         CommandContext& context) {
  const std::vector<std::string> images = DifferingImages(then, now);
  const int count = then.image_sha256_size();
  if (!images.empty()) {
    *context.out << "different: " << images.size() << " of " << count << " images\n";
    PrintLines(images, context);
    if (picture.has_value() && picture->same_pixels) {
      *context.out << "The picture's pixels are the same: it is encoded otherwise.\n";
    }
    return kExitFailed;
  }
  if (picture.has_value() && !picture->same_pixels) {
    *context.out << "different: the picture is not what its receipt draws\n";
    PrintLines(
        {decoded.ok() ? "it was changed since it was drawn" : std::string(decoded.message())},
        context);
    return kExitFailed;
  }
  *context.out << "identical: " << count << (count == 1 ? " image has" : " images have")
               << " the same bytes as then\n";
  if (picture.has_value() && !picture->same_bytes) {
    *context.out << "The picture's pixels are the same; a program wrote its file again since.\n";
  }
  return kExitOk;
}

GenerationOutputs OutputsByFlags(const v1::Model& model) {
  GenerationOutputs outputs;
  outputs.write_receipt = false;
  outputs.embed_receipt = absl::GetFlag(FLAGS_embed_receipt);
  outputs.max_count = model.limits().max_count();
  outputs.quiet = absl::GetFlag(FLAGS_quiet) || absl::GetFlag(FLAGS_json);
  if (const std::string out = absl::GetFlag(FLAGS_out); !out.empty()) outputs.out = out;
  return outputs;
}

// What `saved` was read for: draws its images again and says whether they are the same.
int Replay(const SavedReceipt& saved, const DiffusionClient& client, CommandContext& context) {
  const v1::Receipt& receipt = saved.receipt;
  const auto model = client.GetModel(receipt.parameters().model(), CallOptionsByFlags(context));
  if (!model.ok()) return ReportError(model.status(), context);
  const std::vector<std::string> ground = DifferingGround(receipt, *model);
  const bool json = absl::GetFlag(FLAGS_json);
  if (!ground.empty() && !json) {
    *context.out << "The server is not as it was, so the bytes may differ:\n";
    PrintLines(ground, context);
  }
  v1::GenerateRequest request = RequestFromReceipt(receipt);
  request.set_model_digest(receipt.model_digest());
  absl::Status start = SetStartingFilesByFlags(request);
  start.Update(CheckStart(receipt, request));
  if (!start.ok()) return ReportError(start, context);

  GenerationOutputs outputs = OutputsByFlags(*model);
  std::optional<PictureInHand> picture;
  absl::StatusOr<Image> decoded = absl::NotFoundError("the receipt came without a picture");
  if (!saved.picture.empty()) {
    picture = PictureInHand{.same_bytes = IsAsDrawn(saved)};
    decoded = DecodeImage(saved.picture);
    outputs.on_picture = [&](const Image& drawn) {
      if (decoded.ok() && SamePixels(*decoded, drawn)) picture->same_pixels = true;
    };
  }
  const absl::StatusOr<v1::Completed> completed = RunGeneration(client, request, outputs, context);
  if (!completed.ok()) return ReportError(completed.status(), context);
  if (!json) return Tell(receipt, completed->receipt(), picture, decoded.status(), context);
  *context.out << ReplayJson(receipt, completed->receipt(), ground, picture);
  const bool same = DifferingImages(receipt, completed->receipt()).empty() &&
                    (!picture.has_value() || picture->same_pixels);
  return same ? kExitOk : kExitFailed;
}

int Run(const std::vector<std::string>& arguments, CommandContext& context) {
  const absl::StatusOr<SavedReceipt> saved = ReadReceipt(arguments[0]);
  if (!saved.ok()) return ReportError(saved.status(), context);
  const auto client = ConnectByFlags();
  if (!client.ok()) return ReportError(client.status(), context);
  return Replay(*saved, **client, context);
}

}  // namespace

Command ReplayCommand() {
  std::vector<std::string> flags = {"out", "embed_receipt", "quiet", "json"};
  flags.insert(flags.end(), kStartingFileFlags.begin(), kStartingFileFlags.end());
  return {.name = "replay",
          .arguments = "IMAGE|RECEIPT",
          .summary = "draw an image, or a receipt's images, again and compare their bytes",
          .details =
              "A PNG or WebP that generate saved carries its receipt.\n"
              "Ends with 0 if every image is identical, else with 1 and says what differs.\n"
              "The images are saved only where --out says. Of what images started from, a\n"
              "receipt holds the SHA-256 only: give --init_image and the like again.\n",
          .flags = WithConnectionFlags(std::move(flags)),
          .min_arguments = 1,
          .max_arguments = 1,
          .run = Run};
}

}  // namespace diffusiond
