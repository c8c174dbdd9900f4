// Receipts as JSON, as requests, and compared with each other.
#ifndef DIFFUSIOND_CLIENT_RECEIPT_FILE_H_
#define DIFFUSIOND_CLIENT_RECEIPT_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// The proto3 JSON mapping, all fields, indented, with a newline at the end.
std::string ReceiptToJson(const v1::Receipt& receipt);

// INVALID_ARGUMENT: not the JSON of a Receipt, or one that replays nothing: no model, no digest, or
// not as many image hashes as images.
absl::StatusOr<v1::Receipt> ReceiptFromJson(const std::string& json);

// The request that draws the receipt's images again: every parameter is set that the sampler reads,
// so that no default of the server's matters.
v1::GenerateRequest RequestFromReceipt(const v1::Receipt& receipt);

// What a receipt cannot carry: INVALID_ARGUMENT unless the request's init_image, mask and
// init_noise are those that the receipt names by SHA-256.
absl::Status CheckStart(const v1::Receipt& receipt, const v1::GenerateRequest& request);

// One line for each field in which two Numerics differ: "device_kind: 'a' then, 'b' now".
std::vector<std::string> DifferingNumerics(const v1::Numerics& then, const v1::Numerics& now);

// One line for each image whose hash differs, or that only one of the receipts has.
std::vector<std::string> DifferingImages(const v1::Receipt& then, const v1::Receipt& now);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_RECEIPT_FILE_H_
