#include "client/saved_receipt.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/input_file.h"
#include "client/picture_receipt.h"
#include "client/receipt_file.h"
#include "model/imaging/decode.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

absl::Status TooLarge(size_t limit) {
  return absl::InvalidArgumentError(
      absl::StrCat("it has more than ", limit >> 20, " MiB, which no receipt and no picture has"));
}

absl::StatusOr<SavedReceipt> Parse(const std::string& bytes) {
  if (!PictureFormat(bytes).empty()) {
    ASSIGN_OR_RETURN(PictureReceipt found, TakeReceipt(bytes));
    return SavedReceipt{std::move(found.receipt), std::move(found.picture)};
  }
  if (!absl::StartsWith(absl::StripLeadingAsciiWhitespace(bytes), "{")) {
    return absl::InvalidArgumentError("neither a picture nor the JSON of a receipt");
  }
  if (bytes.size() > kMaxReceiptFile) return TooLarge(kMaxReceiptFile);
  ASSIGN_OR_RETURN(v1::Receipt receipt, ReceiptFromJson(bytes));
  return SavedReceipt{std::move(receipt), ""};
}

}  // namespace

absl::StatusOr<SavedReceipt> ReadReceipt(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadInputFile(path, kMaxPictureFile));
  absl::StatusOr<SavedReceipt> saved = Parse(bytes);
  if (saved.ok()) return saved;
  return absl::Status(saved.status().code(), absl::StrCat(path, ": ", saved.status().message()));
}

}  // namespace diffusiond
