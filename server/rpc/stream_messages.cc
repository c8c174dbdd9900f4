#include "server/rpc/stream_messages.h"

#include <utility>

#include "server/rpc/proto_conversion.h"

namespace diffusiond {
namespace {

v1::Accepted MakeAccepted(const std::string& request_id, const GenerationRequest& request) {
  v1::Accepted accepted;
  accepted.set_request_id(request_id);
  *accepted.mutable_parameters() = ToProto(request);
  accepted.set_width(static_cast<uint32_t>(request.model->width));
  accepted.set_height(static_cast<uint32_t>(request.model->height));
  accepted.set_channels(static_cast<uint32_t>(request.model->channels));
  for (const std::string& warning : request.warnings) accepted.add_warnings(warning);
  return accepted;
}

v1::Receipt MakeReceipt(const std::string& request_id, const ServedModel& model) {
  v1::Receipt receipt;
  receipt.set_request_id(request_id);
  receipt.set_model_digest(model.digest);
  receipt.set_model_version(static_cast<uint32_t>(model.version));
  *receipt.mutable_numerics() = ToProto(model.numerics);
  return receipt;
}

v1::Progress MakeProgress(const StreamEvent::Progress& event, uint32_t first_image) {
  v1::Progress progress;
  progress.set_image_index(first_image + static_cast<uint32_t>(event.image_index));
  progress.set_steps_done(static_cast<uint32_t>(event.steps_done));
  progress.set_steps_total(static_cast<uint32_t>(event.steps_total));
  return progress;
}

v1::Preview MakePreview(StreamEvent::Preview event, uint32_t first_image, v1::ImageFormat format) {
  v1::Preview preview;
  preview.set_image_index(first_image + static_cast<uint32_t>(event.image_index));
  preview.set_steps_done(static_cast<uint32_t>(event.steps_done));
  preview.set_timestep(static_cast<float>(event.timestep));
  preview.set_kind(ToProto(event.kind));
  preview.set_format(format);
  preview.set_width(static_cast<uint32_t>(event.frame.width));
  preview.set_height(static_cast<uint32_t>(event.frame.height));
  preview.set_data(std::move(event.frame.data));
  return preview;
}

}  // namespace

StreamMessages::StreamMessages(const std::string& request_id, const GenerationRequest& request)
    : accepted_(MakeAccepted(request_id, request)),
      receipt_(MakeReceipt(request_id, *request.model)),
      image_format_(ToProto(request.encoding)),
      preview_format_(ToProto(request.preview.encode.encoding)) {}

v1::GenerateEvent StreamMessages::Of(StreamEvent event) const {
  v1::GenerateEvent message;
  if (std::holds_alternative<StreamEvent::Accepted>(event.what)) {
    *message.mutable_accepted() = accepted_;
  } else if (const auto* progress = std::get_if<StreamEvent::Progress>(&event.what)) {
    *message.mutable_progress() = MakeProgress(*progress, first_image());
  } else if (auto* preview = std::get_if<StreamEvent::Preview>(&event.what)) {
    *message.mutable_preview() = MakePreview(std::move(*preview), first_image(), preview_format_);
  } else if (auto* image = std::get_if<StreamEvent::FinalImage>(&event.what)) {
    *message.mutable_image() = Of(std::move(*image));
  } else {
    *message.mutable_completed() = Of(std::get<StreamEvent::Completed>(event.what));
  }
  return message;
}

v1::Image StreamMessages::Of(StreamEvent::FinalImage event) const {
  v1::Image image;
  image.set_image_index(first_image() + static_cast<uint32_t>(event.image_index));
  image.set_format(image_format_);
  image.set_width(static_cast<uint32_t>(event.frame.width));
  image.set_height(static_cast<uint32_t>(event.frame.height));
  image.set_data(std::move(event.frame.data));
  image.set_sha256(std::move(event.frame.sha256));
  return image;
}

v1::Completed StreamMessages::Of(const StreamEvent::Completed& event) const {
  v1::Completed completed;
  v1::Receipt& receipt = *completed.mutable_receipt();
  receipt = receipt_;
  *receipt.mutable_parameters() = accepted_.parameters();
  for (const std::string& sha256 : event.sha256) receipt.add_image_sha256(sha256);
  v1::Timings* timings = completed.mutable_timings();
  *timings->mutable_queue() = ToProto(event.engine.queue);
  *timings->mutable_compute() = ToProto(event.engine.compute);
  *timings->mutable_encode() = ToProto(event.encode);
  *timings->mutable_total() = ToProto(event.total);
  return completed;
}

}  // namespace diffusiond
