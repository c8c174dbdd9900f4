#include "client/generate_event_checker.h"

#include "absl/strings/str_cat.h"
#include "model/files/sha256.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

// A server that accepts more images than this is broken; guards the memory of images_.
constexpr uint32_t kMaxPlausibleCount = 1 << 20;

template <typename... Args>
absl::Status Violation(const Args&... args) {
  return absl::InternalError(absl::StrCat("the server broke the protocol: ", args...));
}

absl::Status CheckReceiptHashes(const v1::Receipt& receipt, size_t count,
                                const auto& sha256_of_image) {
  if (static_cast<size_t>(receipt.image_sha256_size()) != count) {
    return Violation("the receipt lists ", receipt.image_sha256_size(), " images, ", count,
                     " were drawn");
  }
  for (size_t i = 0; i < count; ++i) {
    if (receipt.image_sha256(static_cast<int>(i)) != sha256_of_image(i)) {
      return Violation("the receipt lists SHA-256 ", receipt.image_sha256(static_cast<int>(i)),
                       " for image ", i, ", which has ", sha256_of_image(i));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckImageDigest(const v1::Image& image) {
  const std::string actual = Sha256Hex(image.data());
  if (actual == image.sha256()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "image ", image.image_index(), ": the ", image.data().size(), " bytes received have SHA-256 ",
      actual, ", the server announced ", image.sha256().empty() ? "none" : image.sha256()));
}

absl::Status GenerateEventChecker::Check(const v1::GenerateEvent& event) {
  using Event = v1::GenerateEvent;
  if (completed_) return Violation("an event came after Completed");
  if (!request_id_.has_value() && event.event_case() != Event::kAccepted) {
    return Violation("the first event is not Accepted");
  }
  switch (event.event_case()) {
    case Event::kAccepted:
      return CheckAccepted(event.accepted());
    case Event::kProgress:
      return CheckProgress(event.progress());
    case Event::kPreview:
      return CheckPreview(event.preview());
    case Event::kImage:
      return CheckImage(event.image());
    case Event::kCompleted:
      return CheckCompleted(event.completed());
    case Event::EVENT_NOT_SET:
      break;  // An event of a newer API: by the rules of protobuf, not ours to refuse.
  }
  return absl::OkStatus();
}

absl::Status GenerateEventChecker::CheckEnd() const {
  if (completed_) return absl::OkStatus();
  return Violation("the stream ended with OK but without Completed");
}

absl::Status GenerateEventChecker::CheckAccepted(const v1::Accepted& accepted) {
  if (request_id_.has_value()) return Violation("Accepted came twice");
  const uint32_t count = accepted.parameters().count();
  if (count < 1 || count > kMaxPlausibleCount) {
    return Violation("Accepted says count ", count, ", expected 1 .. ", kMaxPlausibleCount);
  }
  request_id_ = accepted.request_id();
  images_.resize(count);
  first_image_ = accepted.parameters().first_image_index();
  return absl::OkStatus();
}

absl::Status GenerateEventChecker::CheckOpenImage(absl::string_view event,
                                                  uint32_t image_index) const {
  if (image_index < first_image_ || image_index - first_image_ >= images_.size()) {
    return Violation(event, " for image ", image_index, " of a request for ", images_.size());
  }
  if (!images_[image_index - first_image_].sha256.empty()) {
    return Violation(event, " for image ", image_index, " came after its Image");
  }
  return absl::OkStatus();
}

absl::Status GenerateEventChecker::CheckProgress(const v1::Progress& progress) {
  RETURN_IF_ERROR(CheckOpenImage("Progress", progress.image_index()));
  ImageState& image = StateOf(progress.image_index());
  if (progress.steps_done() < 1 || progress.steps_done() > progress.steps_total() ||
      (image.steps_total != 0 && image.steps_total != progress.steps_total())) {
    return Violation("Progress of image ", progress.image_index(), " says step ",
                     progress.steps_done(), " of ", progress.steps_total());
  }
  if (progress.steps_done() < image.steps_done) {
    return Violation("Progress of image ", progress.image_index(), " went back from step ",
                     image.steps_done, " to ", progress.steps_done());
  }
  image.steps_done = progress.steps_done();
  image.steps_total = progress.steps_total();
  return absl::OkStatus();
}

absl::Status GenerateEventChecker::CheckPreview(const v1::Preview& preview) {
  RETURN_IF_ERROR(CheckOpenImage("Preview", preview.image_index()));
  ImageState& image = StateOf(preview.image_index());
  if (preview.steps_done() < image.preview_steps_done) {
    return Violation("Preview of image ", preview.image_index(), " went back from step ",
                     image.preview_steps_done, " to ", preview.steps_done());
  }
  image.preview_steps_done = preview.steps_done();
  return absl::OkStatus();
}

absl::Status GenerateEventChecker::CheckImage(const v1::Image& image) {
  RETURN_IF_ERROR(CheckOpenImage("Image", image.image_index()));
  RETURN_IF_ERROR(CheckImageDigest(image));
  StateOf(image.image_index()).sha256 = image.sha256();
  return absl::OkStatus();
}

absl::Status GenerateEventChecker::CheckCompleted(const v1::Completed& completed) {
  for (size_t i = 0; i < images_.size(); ++i) {
    if (images_[i].sha256.empty())
      return Violation("Completed came before image ", first_image_ + i);
  }
  const v1::Receipt& receipt = completed.receipt();
  if (receipt.request_id() != *request_id_) {
    return Violation("the receipt is for request '", receipt.request_id(), "', not '", *request_id_,
                     "'");
  }
  completed_ = true;
  return CheckReceiptHashes(receipt, images_.size(),
                            [this](size_t i) { return images_[i].sha256; });
}

absl::Status CheckGenerateImagesResponse(const v1::GenerateImagesResponse& response) {
  const auto count = static_cast<uint32_t>(response.images_size());
  if (count != response.receipt().parameters().count()) {
    return Violation(count, " images came, the receipt says count ",
                     response.receipt().parameters().count());
  }
  const uint32_t first = response.receipt().parameters().first_image_index();
  for (uint32_t i = 0; i < count; ++i) {
    const v1::Image& image = response.images(static_cast<int>(i));
    if (image.image_index() != first + i) {
      return Violation("image ", first + i, " says that it is image ", image.image_index());
    }
    RETURN_IF_ERROR(CheckImageDigest(image));
  }
  return CheckReceiptHashes(response.receipt(), count, [&response](size_t i) {
    return response.images(static_cast<int>(i)).sha256();
  });
}

}  // namespace diffusiond
