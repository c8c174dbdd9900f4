// The fields of GenerateRequest that are about guidance.
#ifndef DIFFUSIOND_SERVER_RPC_GUIDANCE_FIELDS_H_
#define DIFFUSIOND_SERVER_RPC_GUIDANCE_FIELDS_H_

#include "diffusiond/v1/diffusion.pb.h"
#include "model/sampling/guidance.h"
#include "server/models/served_model.h"
#include "server/rpc/field_violations.h"

namespace diffusiond {

// What the request asks for, or the model's default where it asks for nothing, noting each fault: a
// value out of range, or one that has no effect. Values are rounded to what the API's float
// carries.
Guidance ReadGuidance(const v1::GenerateRequest& request, const ServedModel& model,
                      double max_guidance_scale, FieldViolations* violations);

void WriteGuidance(const Guidance& guidance, v1::ResolvedParameters* parameters);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_GUIDANCE_FIELDS_H_
