// The API's SamplingOptions: checked, resolved and reported by the table of options.
#ifndef DIFFUSIOND_SERVER_RPC_SAMPLING_FIELDS_H_
#define DIFFUSIOND_SERVER_RPC_SAMPLING_FIELDS_H_

#include <cstdint>

#include "diffusiond/v1/diffusion.pb.h"
#include "model/sampling/sampler.h"
#include "server/rpc/field_violations.h"

namespace diffusiond {

// Puts what is asked for into *options, which holds the model's defaults, and notes each fault: a
// value out of range, or one that has no effect on the sampler. `sampler` null: unknown, so that
// nothing is said of effects. Numbers are rounded to what the API's float carries.
void ReadSampling(const v1::SamplingOptions& asked, const Sampler* sampler, int64_t max_steps,
                  SamplingOptions* options, FieldViolations* violations);

// What the sampler reads; the rest says nothing about the image and stays unset.
void WriteSampling(const SamplingOptions& options, v1::SamplingOptions* message);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_SAMPLING_FIELDS_H_
