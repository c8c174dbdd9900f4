#include "client/generate_in_parts.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

void Add(const google::protobuf::Duration& more, google::protobuf::Duration* sum) {
  constexpr int kSecond = 1000000000;
  const int nanos = sum->nanos() + more.nanos();
  sum->set_seconds(sum->seconds() + more.seconds() + nanos / kSecond);
  sum->set_nanos(nanos % kSecond);
}

// Puts `part`, which comes next, behind `all`.
absl::Status Append(const v1::Completed& part, v1::Completed* all) {
  const v1::Receipt& receipt = part.receipt();
  if (receipt.numerics().SerializeAsString() != all->receipt().numerics().SerializeAsString()) {
    return absl::FailedPreconditionError(
        "parts of the images were drawn by servers of different builds or devices: their bytes may "
        "not be those of one request");
  }
  for (const std::string& sha256 : receipt.image_sha256()) {
    all->mutable_receipt()->add_image_sha256(sha256);
  }
  Add(part.timings().queue(), all->mutable_timings()->mutable_queue());
  Add(part.timings().compute(), all->mutable_timings()->mutable_compute());
  Add(part.timings().encode(), all->mutable_timings()->mutable_encode());
  Add(part.timings().total(), all->mutable_timings()->mutable_total());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::Completed> GenerateInParts(const DiffusionClient& client,
                                              const v1::GenerateRequest& request,
                                              uint32_t max_count,
                                              const GenerateCallbacks& callbacks,
                                              const CallOptions& options) {
  const uint32_t count = request.count();
  if (max_count == 0 || count <= max_count || request.has_morph_seed()) {
    return client.Generate(request, callbacks, options);
  }
  const absl::Time deadline = absl::Now() + options.timeout;
  v1::GenerateRequest part = request;
  part.set_count(max_count);
  GenerateCallbacks heard = callbacks;
  heard.on_accepted = [&](v1::Accepted accepted) {
    // What was drawn at random for the first part holds for all.
    part.set_seed(accepted.parameters().seed());
    accepted.mutable_parameters()->set_count(count);
    if (callbacks.on_accepted) callbacks.on_accepted(accepted);
  };
  ASSIGN_OR_RETURN(v1::Completed all, client.Generate(part, heard, options));
  part.set_model(all.receipt().parameters().model());
  part.set_model_digest(all.receipt().model_digest());
  heard.on_accepted = nullptr;
  uint32_t images = max_count;
  heard.on_image = [&](const v1::Image& image) {
    ++images;
    if (callbacks.on_image) callbacks.on_image(image);
  };
  for (uint32_t done = max_count; done < count; done += part.count()) {
    part.set_first_image_index(request.first_image_index() + done);
    part.set_count(std::min(max_count, count - done));
    CallOptions rest = options;
    rest.timeout = deadline - absl::Now();
    const absl::StatusOr<v1::Completed> completed = client.Generate(part, heard, rest);
    if (absl::IsDeadlineExceeded(completed.status())) {
      return absl::DeadlineExceededError(absl::StrCat("not finished within ",
                                                      absl::FormatDuration(options.timeout), ": ",
                                                      images, " of ", count, " images were drawn"));
    }
    RETURN_IF_ERROR(completed.status());
    RETURN_IF_ERROR(Append(*completed, &all));
  }
  all.mutable_receipt()->mutable_parameters()->set_count(count);
  return all;
}

}  // namespace diffusiond
