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
#include "model/process/printable_text.h"

ABSL_DECLARE_FLAG(std::string, out);
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

int Run(const std::vector<std::string>& arguments, CommandContext& context) {
  const absl::StatusOr<v1::Receipt> receipt = ReadReceipt(arguments[0]);
  if (!receipt.ok()) return ReportError(receipt.status(), context);
  const auto client = ConnectByFlags();
  if (!client.ok()) return ReportError(client.status(), context);
  const auto model =
      (*client)->GetModel(receipt->parameters().model(), CallOptionsByFlags(context));
  if (!model.ok()) return ReportError(model.status(), context);

  const std::vector<std::string> ground = DifferingGround(*receipt, *model);
  const bool json = absl::GetFlag(FLAGS_json);
  if (!ground.empty() && !json) {
    *context.out << "The server is not as it was, so the bytes may differ:\n";
    PrintLines(ground, context);
  }
  v1::GenerateRequest request = RequestFromReceipt(*receipt);
  request.set_model_digest(receipt->model_digest());
  absl::Status start = SetStartingFilesByFlags(request);
  start.Update(CheckStart(*receipt, request));
  if (!start.ok()) return ReportError(start, context);
  GenerationOutputs outputs;
  outputs.write_receipt = false;
  outputs.max_count = model->limits().max_count();
  outputs.quiet = absl::GetFlag(FLAGS_quiet) || json;
  if (const std::string out = absl::GetFlag(FLAGS_out); !out.empty()) outputs.out = out;
  const absl::StatusOr<v1::Completed> completed =
      RunGeneration(**client, request, outputs, context);
  if (!completed.ok()) return ReportError(completed.status(), context);

  if (json) *context.out << ReplayJson(*receipt, completed->receipt(), ground);
  const std::vector<std::string> images = DifferingImages(*receipt, completed->receipt());
  if (json) return images.empty() ? kExitOk : kExitFailed;
  const int count = receipt->image_sha256_size();
  if (images.empty()) {
    *context.out << "identical: " << count << (count == 1 ? " image has" : " images have")
                 << " the same bytes as then\n";
    return kExitOk;
  }
  *context.out << "different: " << images.size() << " of " << count << " images\n";
  PrintLines(images, context);
  return kExitFailed;
}

}  // namespace

Command ReplayCommand() {
  std::vector<std::string> flags = {"out", "quiet", "json"};
  flags.insert(flags.end(), kStartingFileFlags.begin(), kStartingFileFlags.end());
  return {.name = "replay",
          .arguments = "RECEIPT.json",
          .summary = "draw a receipt's images again and compare their bytes",
          .details =
              "Ends with 0 if every image is identical, else with 1 and says what differs.\n"
              "The images are saved only where --out says. Of what images started from, a\n"
              "receipt holds the SHA-256 only: give --init_image and the like again.\n",
          .flags = WithConnectionFlags(std::move(flags)),
          .min_arguments = 1,
          .max_arguments = 1,
          .run = Run};
}

}  // namespace diffusiond
