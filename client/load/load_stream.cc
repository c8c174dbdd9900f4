#include "client/load/load_stream.h"

#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "proto/metadata_keys.h"

namespace diffusiond {
namespace {

constexpr char kPushbackTrailer[] = "grpc-retry-pushback-ms";

std::optional<int64_t> PushbackOf(const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(kPushbackTrailer);
  int64_t milliseconds = 0;
  if (found == trailers.end() ||
      !absl::SimpleAtoi(absl::string_view(found->second.data(), found->second.size()),
                        &milliseconds)) {
    return std::nullopt;
  }
  return milliseconds;
}

}  // namespace

LoadStream::LoadStream(Clock clock, LoadRecord* record, DoneCallback on_done)
    : clock_(std::move(clock)), record_(record), on_done_(std::move(on_done)) {}

void LoadStream::Start(const LoadEntry& entry, uint64_t seed, absl::Duration time_left,
                       v1::DiffusionService::Stub& stub) {
  request_ = entry.request;
  request_.set_seed(seed);
  if (!entry.tenant.empty()) context_.AddMetadata(kTenantMetadata, entry.tenant);
  if (time_left != absl::InfiniteDuration()) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + time_left));
  }
  stub.async()->Generate(&context_, &request_, this);
  StartRead(&event_);
  record_->sent = clock_();
  StartCall();
}

void LoadStream::OnReadDone(bool ok) {
  if (!ok) return;  // OnDone comes.
  Count(event_);
  StartRead(&event_);
}

void LoadStream::Count(const v1::GenerateEvent& event) {
  if (event.has_accepted()) {
    record_->accepted = clock_();
    images_announced_ = event.accepted().parameters().count();
  } else if (event.has_preview()) {
    if (record_->previews++ == 0) record_->first_preview = clock_();
    record_->bytes += event.preview().data().size();
  } else if (event.has_image()) {
    if (record_->images++ == 0) record_->first_image = clock_();
    record_->bytes += event.image().data().size();
  } else if (event.has_completed()) {
    completed_ = true;
  }
}

void LoadStream::OnDone(const grpc::Status& status) {
  record_->finished = clock_();
  record_->code = status.error_code();
  record_->pushback_ms = PushbackOf(context_);
  const bool whole = completed_ && record_->images == images_announced_;
  // On the stack: the callback may destroy this, and itself with it.
  const DoneCallback on_done = std::move(on_done_);
  on_done(status, whole);
}

}  // namespace diffusiond
