// Receipts inside the pictures that they are of, so that a picture alone can be drawn again.
//
// The bytes of the picture without its receipt are those that the server sent and whose SHA-256 the
// receipt lists: the receipt is put beside them and taken away without a trace. It is a function of
// what was asked for and what was drawn, so that equal pictures are equal files.
#ifndef DIFFUSIOND_CLIENT_PICTURE_RECEIPT_H_
#define DIFFUSIOND_CLIENT_PICTURE_RECEIPT_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// PNG: the keyword of the iTXt chunk whose text is the receipt's JSON.
inline constexpr char kReceiptKeyword[] = "diffusiond-receipt";
// WebP: the XMP property whose value that is, and the namespace of its prefix.
inline constexpr char kReceiptProperty[] = "diffusiond:receipt";
inline constexpr char kReceiptNamespace[] = "urn:diffusiond:v1/";

// Of the JSON of a receipt in a picture.
inline constexpr size_t kMaxReceiptInPicture = size_t{1} << 20;

bool CarriesReceipt(v1::ImageFormat format);  // PNG and WebP.

// The receipt that the image at `place` of the receipt's images carries: of a request for it alone,
// and of a morph, whose images depend on their number, of the whole. Without request_id and
// model_version, which say where and not what was drawn.
v1::Receipt ReceiptOfImage(const v1::Receipt& receipt, int place);

// `picture`, a PNG or WebP as servers send it, with `receipt` in it. INVALID_ARGUMENT: another
// file, or a receipt of more than kMaxReceiptInPicture.
absl::StatusOr<std::string> WithReceipt(const std::string& picture, const v1::Receipt& receipt);

struct PictureReceipt {
  v1::Receipt receipt;
  std::string picture;  // Without it.
};

// NOT_FOUND: a PNG or WebP without receipt. INVALID_ARGUMENT: another format, a damaged file, or a
// receipt that replays nothing.
absl::StatusOr<PictureReceipt> TakeReceipt(const std::string& picture);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_PICTURE_RECEIPT_H_
