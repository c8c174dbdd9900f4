// More images than a server draws for one request.
#ifndef DIFFUSIOND_CLIENT_GENERATE_IN_PARTS_H_
#define DIFFUSIOND_CLIENT_GENERATE_IN_PARTS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "client/diffusion_client.h"
#include "diffusiond/v1/diffusion.pb.h"

namespace diffusiond {

// As client.Generate, by requests of at most `max_count` images one after the other
// (Model.limits.max_count); 0, or no more images than that: by one. The callbacks hear one stream:
// an Accepted of all images first, and image_index throughout. Seed and version of the model are
// those of the first request, so that images and receipt are as one request for all would give
// them; the timings are sums. A morph is never divided: its images depend on the count.
//
// Errors: as Generate; images of earlier parts have been reported then. FAILED_PRECONDITION: a
// later part was drawn by another kind of server, whose bytes may differ.
absl::StatusOr<v1::Completed> GenerateInParts(const DiffusionClient& client,
                                              const v1::GenerateRequest& request,
                                              uint32_t max_count,
                                              const GenerateCallbacks& callbacks,
                                              const CallOptions& options = {});

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_GENERATE_IN_PARTS_H_
