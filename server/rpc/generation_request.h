// A GenerateRequest with nothing left open and nothing wrong.
#ifndef DIFFUSIOND_SERVER_RPC_GENERATION_REQUEST_H_
#define DIFFUSIOND_SERVER_RPC_GENERATION_REQUEST_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "model/sampling/sampler.h"
#include "server/access/access_list.h"
#include "server/access/identity_quotas.h"
#include "server/engine/engine.h"
#include "server/engine/memory_budget.h"
#include "server/imaging/frame_encoder.h"
#include "server/models/model_catalog.h"
#include "server/models/served_model.h"
#include "server/rpc/start_fields.h"

namespace diffusiond {

struct RequestLimits {
  int max_count = 64;  // Images of one request.
  double max_guidance_scale = kMaxGuidanceScale;
  int max_picture_side = kDefaultMaxPictureSide;  // Of a picture that is fitted, in pixels.
};

struct PreviewRequest {
  int every_steps = 0;  // 0: none.
  PreviewContent content = PreviewContent::kX0Hat;
  EncodeOptions encode;
};

// Floating-point values are exactly representable as the float that the API reports, so that a
// receipt replays to the same bytes.
struct GenerationRequest {
  std::shared_ptr<const ServedModel> model;
  int count = 1;
  uint32_t first_image_index = 0;  // Of the longer request that this is a part of.
  uint64_t seed = 0;
  std::optional<int> class_id;
  Guidance guidance = {};
  RequestedStart start = {};
  SamplingOptions sampling;
  PreviewRequest preview;
  ImageEncoding encoding = ImageEncoding::kPng;
  Priority priority = Priority::kNormal;
  std::vector<std::string> warnings;     // SamplingAdvice.
  MemoryBudget::Hold memory = nullptr;   // Of what `start` holds.
  MemoryBudget::Hold answer = nullptr;   // Of AnswerBytes, until it is taken.
  IdentityQuotas::Hold quota = nullptr;  // Of its caller's limits.
};

// Who asks.
struct Caller {
  std::string tenant;   // On whose behalf.
  std::string address;  // Where from, or whose identity: what GenerationSpec::address says.
  absl::Time deadline = absl::InfiniteFuture();
  std::shared_ptr<const AccessIdentity> identity = nullptr;  // Null: nobody that is known.
};

enum class PreviewSupport { kAllowed, kNotAllowed };

// `seed_if_absent` is used when the request names none. NOT_FOUND: no such model. INVALID_ARGUMENT:
// carries a BadRequest that names every wrong field.
absl::StatusOr<GenerationRequest> ParseGenerateRequest(const v1::GenerateRequest& request,
                                                       const ModelCatalog& catalog,
                                                       const RequestLimits& limits,
                                                       PreviewSupport previews,
                                                       uint64_t seed_if_absent);

// About what waits at most for a client that takes nothing: all images, and a preview of each kind
// of each.
size_t AnswerBytes(const GenerationRequest& request);

// One trajectory for each image. What plan, pictures and the answer take is held of `budget`, on
// behalf of `caller.address`; its refusal if there is no room. INVALID_ARGUMENT: no plan can be
// compiled from the parameters.
absl::StatusOr<GenerationSpec> MakeGenerationSpec(GenerationRequest& request, const Caller& caller,
                                                  MemoryBudget& budget);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_GENERATION_REQUEST_H_
