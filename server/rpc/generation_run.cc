#include "server/rpc/generation_run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/proto_conversion.h"

namespace diffusiond {
namespace {

std::vector<std::shared_ptr<EncoderPool::Lane>> MakeLanes(EncoderPool& encoders, int count) {
  std::vector<std::shared_ptr<EncoderPool::Lane>> lanes;
  for (int i = 0; i < count; ++i) lanes.push_back(encoders.NewLane());
  return lanes;
}

}  // namespace

GenerationRun::GenerationRun(std::string request_id, GenerationRequest request,
                             EncoderPool* encoders, std::shared_ptr<GenerationSink> sink,
                             std::function<absl::Time()> now)
    : request_id_(std::move(request_id)),
      request_(std::move(request)),
      encoders_(encoders),
      now_(std::move(now)),
      accepted_(now_()),
      lanes_(MakeLanes(*encoders, request_.count)),
      sink_(std::move(sink)),
      sha256_(static_cast<size_t>(request_.count)) {}

std::shared_ptr<GenerationSink> GenerationRun::sink() const {
  absl::MutexLock lock(&mu_);
  return sink_;
}

void GenerationRun::OnProgress(int image_index, int steps_done, int steps_total) {
  const std::shared_ptr<GenerationSink> sink = this->sink();
  if (sink == nullptr) return;
  v1::Progress progress;
  progress.set_image_index(static_cast<uint32_t>(image_index));
  progress.set_steps_done(static_cast<uint32_t>(steps_done));
  progress.set_steps_total(static_cast<uint32_t>(steps_total));
  sink->OnProgress(std::move(progress));
}

void GenerationRun::OnPreview(int image_index, int steps_done, double timestep, PreviewContent kind,
                              Frame frame) {
  const std::shared_ptr<GenerationSink> sink = this->sink();
  if (sink == nullptr) return;
  v1::Preview preview;
  preview.set_image_index(static_cast<uint32_t>(image_index));
  preview.set_steps_done(static_cast<uint32_t>(steps_done));
  preview.set_timestep(static_cast<float>(timestep));
  preview.set_kind(ToProto(kind));
  preview.set_format(ToProto(request_.preview.encode.encoding));
  const bool lost =
      encoders_->SchedulePreview(lanes_[static_cast<size_t>(image_index)], static_cast<int>(kind),
                                 std::move(frame), request_.preview.encode,
                                 [self = shared_from_this(), preview = std::move(preview)](
                                     EncoderPool::Result result) mutable {
                                   self->OnPreviewEncoded(std::move(preview), std::move(result));
                                 });
  if (lost) sink->OnPreviewDropped();
}

void GenerationRun::OnPreviewEncoded(v1::Preview preview, EncoderPool::Result result) {
  std::shared_ptr<GenerationSink> sink;
  {
    absl::MutexLock lock(&mu_);
    encode_time_ += result.duration;
    sink = sink_;
  }
  if (sink == nullptr) return;
  // A frame that cannot be shown costs the preview, not the image.
  if (!result.encoded.ok()) return sink->OnPreviewDropped();
  preview.set_width(static_cast<uint32_t>(result.encoded->width));
  preview.set_height(static_cast<uint32_t>(result.encoded->height));
  preview.set_data(std::move(result.encoded->data));
  sink->OnPreview(std::move(preview));
}

void GenerationRun::OnImage(int image_index, Frame frame) {
  {
    absl::MutexLock lock(&mu_);
    if (sink_ == nullptr) return;
    ++images_encoding_;
  }
  EncodeOptions options;
  options.encoding = request_.encoding;
  options.digest = true;
  encoders_->ScheduleImage(lanes_[static_cast<size_t>(image_index)], std::move(frame), options,
                           [self = shared_from_this(), image_index](EncoderPool::Result result) {
                             self->OnImageEncoded(image_index, std::move(result));
                           });
}

void GenerationRun::OnImageEncoded(int image_index, EncoderPool::Result result) {
  std::shared_ptr<GenerationSink> sink;
  {
    absl::MutexLock lock(&mu_);
    encode_time_ += result.duration;
    sink = sink_;
    if (result.encoded.ok()) {
      sha256_[static_cast<size_t>(image_index)] = result.encoded->sha256;
    } else if (status_.ok()) {
      status_ = absl::InternalError(absl::StrCat(
          "image ", image_index, " cannot be encoded: ", result.encoded.status().message()));
    }
  }
  if (sink != nullptr && result.encoded.ok()) {
    v1::Image image;
    image.set_image_index(static_cast<uint32_t>(image_index));
    image.set_format(ToProto(request_.encoding));
    image.set_width(static_cast<uint32_t>(result.encoded->width));
    image.set_height(static_cast<uint32_t>(result.encoded->height));
    image.set_data(std::move(result.encoded->data));
    image.set_sha256(result.encoded->sha256);
    sink->OnImage(std::move(image));
  }
  {
    // Only now: Completed must not overtake the image.
    absl::MutexLock lock(&mu_);
    --images_encoding_;
  }
  EndIfDone();
}

void GenerationRun::OnFinished(absl::Status status, GenerationTimings timings) {
  {
    absl::MutexLock lock(&mu_);
    engine_done_ = true;
    timings_ = timings;
    if (status_.ok()) status_ = std::move(status);
  }
  EndIfDone();
}

void GenerationRun::EndIfDone() {
  std::shared_ptr<GenerationSink> sink;
  absl::Status status;
  v1::Completed completed;
  {
    absl::MutexLock lock(&mu_);
    const bool whole = engine_done_ && images_encoding_ == 0;
    if (sink_ == nullptr || (status_.ok() && !whole)) return;
    sink = std::move(sink_);
    sink_ = nullptr;
    status = status_;
    v1::Receipt* receipt = completed.mutable_receipt();
    receipt->set_request_id(request_id_);
    *receipt->mutable_parameters() = ToProto(request_);
    receipt->set_model_digest(request_.model->digest);
    receipt->set_model_version(static_cast<uint32_t>(request_.model->version));
    *receipt->mutable_numerics() = ToProto(request_.model->numerics);
    for (const std::string& sha256 : sha256_) receipt->add_image_sha256(sha256);
    v1::Timings* timings = completed.mutable_timings();
    *timings->mutable_queue() = ToProto(timings_.queue);
    *timings->mutable_compute() = ToProto(timings_.compute);
    *timings->mutable_encode() = ToProto(encode_time_);
    *timings->mutable_total() = ToProto(now_() - accepted_);
  }
  if (!status.ok()) {
    for (const auto& lane : lanes_) encoders_->Abandon(lane);
  }
  sink->OnEnd(std::move(status), std::move(completed));
}

}  // namespace diffusiond
