// The fields of SamplingOptions that are about guidance.
#ifndef DIFFUSIOND_SERVER_RPC_GUIDANCE_FIELDS_H_
#define DIFFUSIOND_SERVER_RPC_GUIDANCE_FIELDS_H_

#include "diffusiond/v1/diffusion.pb.h"
#include "model/sampling/guidance.h"
#include "server/models/served_model.h"
#include "server/rpc/field_violations.h"

namespace diffusiond {

// What is asked for, or the model's default where nothing is, noting each fault: a value out of
// range, or one that has no effect. `asks_for_class`: whether the request names one.
Guidance ReadGuidance(const v1::SamplingOptions& asked, bool asks_for_class,
                      const ServedModel& model, double max_scale, FieldViolations* violations);

// What acts.
void WriteGuidance(const Guidance& guidance, v1::SamplingOptions* message);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_GUIDANCE_FIELDS_H_
