#include "client/receipt_file.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/message_json.h"
#include "google/protobuf/util/json_util.h"
#include "model/files/sha256.h"

namespace diffusiond {

std::string ReceiptToJson(const v1::Receipt& receipt) { return MessageJson(receipt); }

absl::StatusOr<v1::Receipt> ReceiptFromJson(const std::string& json) {
  v1::Receipt receipt;
  const auto parsed = google::protobuf::util::JsonStringToMessage(json, &receipt);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("not the JSON of a receipt: ", std::string(parsed.message())));
  }
  if (receipt.parameters().model().empty()) {
    return absl::InvalidArgumentError("the receipt names no model (parameters.model)");
  }
  if (receipt.model_digest().empty()) {
    return absl::InvalidArgumentError("the receipt has no model digest (modelDigest)");
  }
  const auto count = static_cast<int64_t>(receipt.parameters().count());
  if (count < 1 || count != receipt.image_sha256_size()) {
    return absl::InvalidArgumentError(absl::StrCat("the receipt is for ", count,
                                                   " images and lists ",
                                                   receipt.image_sha256_size(), " hashes"));
  }
  return receipt;
}

v1::GenerateRequest RequestFromReceipt(const v1::Receipt& receipt) {
  const v1::ResolvedParameters& parameters = receipt.parameters();
  v1::GenerateRequest request;
  request.set_model(parameters.model());
  request.set_count(parameters.count());
  request.set_first_image_index(parameters.first_image_index());
  request.set_seed(parameters.seed());
  if (parameters.has_class_id()) request.set_class_id(parameters.class_id());
  *request.mutable_sampling() = parameters.sampling();
  if (parameters.has_morph_seed()) request.set_morph_seed(parameters.morph_seed());
  request.set_picture_fit(parameters.picture_fit());
  request.set_format(parameters.format());
  return request;
}

absl::Status CheckStart(const v1::Receipt& receipt, const v1::GenerateRequest& request) {
  const v1::ResolvedParameters& then = receipt.parameters();
  const auto check = [](const char* field, const std::string& sha256, const std::string& bytes) {
    const std::string now = bytes.empty() ? "" : Sha256Hex(bytes);
    if (now == sha256) return absl::OkStatus();
    if (sha256.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", field, ": the receipt is of images without one"));
    }
    return absl::InvalidArgumentError(absl::StrCat("--", field,
                                                   ": the receipt needs the bytes with SHA-256 ",
                                                   sha256, ", not ", now.empty() ? "none" : now));
  };
  absl::Status status = check("init_image", then.init_image_sha256(), request.init_image());
  status.Update(check("mask", then.mask_sha256(), request.mask()));
  status.Update(check("init_noise", then.init_noise_sha256(), request.init_noise()));
  return status;
}

std::vector<std::string> DifferingNumerics(const v1::Numerics& then, const v1::Numerics& now) {
  std::vector<std::string> lines;
  const auto compare = [&lines](const char* field, const auto& a, const auto& b) {
    if (a != b) lines.push_back(absl::StrCat(field, ": '", a, "' then, '", b, "' now"));
  };
  compare("server_version", then.server_version(), now.server_version());
  compare("libtorch_version", then.libtorch_version(), now.libtorch_version());
  compare("device_kind", then.device_kind(), now.device_kind());
  compare("micro_batch", then.micro_batch(), now.micro_batch());
  compare("network_numerics", then.network_numerics(), now.network_numerics());
  return lines;
}

std::vector<std::string> DifferingImages(const v1::Receipt& then, const v1::Receipt& now) {
  std::vector<std::string> lines;
  const auto hash = [](const v1::Receipt& receipt, int i) {
    return i < receipt.image_sha256_size() ? receipt.image_sha256(i) : std::string("none");
  };
  const int count = std::max(then.image_sha256_size(), now.image_sha256_size());
  for (int i = 0; i < count; ++i) {
    if (hash(then, i) == hash(now, i)) continue;
    lines.push_back(absl::StrCat("image ",
                                 then.parameters().first_image_index() + static_cast<uint32_t>(i),
                                 ": ", hash(then, i), " then, ", hash(now, i), " now"));
  }
  return lines;
}

}  // namespace diffusiond
