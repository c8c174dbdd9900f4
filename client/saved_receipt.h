// Receipts on disk: a file of its own, or inside the picture that it is of.
#ifndef DIFFUSIOND_CLIENT_SAVED_RECEIPT_H_
#define DIFFUSIOND_CLIENT_SAVED_RECEIPT_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// Larger files are refused before they are read whole. A PNG of the largest picture has 192 MiB.
inline constexpr size_t kMaxPictureFile = size_t{256} << 20;
inline constexpr size_t kMaxReceiptFile = size_t{16} << 20;

struct SavedReceipt {
  v1::Receipt receipt;
  // Of the picture that carried it: the bytes without it. Empty: it was a file of its own.
  std::string picture;
};

// Errors name the file. NOT_FOUND: no such file, or a picture without receipt. INVALID_ARGUMENT: as
// ReceiptFromJson and TakeReceipt, or too large.
absl::StatusOr<SavedReceipt> ReadReceipt(const std::string& path);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_SAVED_RECEIPT_H_
