// The fields of GenerateRequest that are options of a sampler: one table for checking them, for
// leaving out those that the sampler does not read, and for reporting them.
#ifndef DIFFUSIOND_SERVER_RPC_SAMPLING_FIELDS_H_
#define DIFFUSIOND_SERVER_RPC_SAMPLING_FIELDS_H_

#include "absl/strings/string_view.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "model/sampling/sampler.h"
#include "server/rpc/field_violations.h"

namespace diffusiond {

// Null if there is no sampler of that name.
const Sampler* FindSampler(absl::string_view name);

// Whether `sampler` reads that field of GenerateRequest; `steps` is read by all.
bool Reads(const Sampler& sampler, absl::string_view field);

// Puts what the request sets into *options, which holds the model's defaults, and notes each fault:
// a value out of range, or one that has no effect on the sampler. `sampler` null: unknown, so that
// nothing is said of effects. Floating-point options are rounded to what the API's float carries.
void ReadSamplingFields(const v1::GenerateRequest& request, const Sampler* sampler,
                        SamplingOptions* options, FieldViolations* violations);

// Requests that differ only in what the sampler does not read share a plan and a receipt.
void ForgetUnreadOptions(const Sampler& sampler, SamplingOptions* options);

// The sampler, the steps, and the options that the sampler reads; the others say nothing about the
// image and stay unset.
void WriteSamplingFields(const SamplingOptions& options, v1::ResolvedParameters* parameters);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_RPC_SAMPLING_FIELDS_H_
