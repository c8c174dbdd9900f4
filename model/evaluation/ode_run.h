// The ODE likelihood of a data set, micro-batch after micro-batch, so that it can stop and go on.
#ifndef DIFFUSIOND_MODEL_EVALUATION_ODE_RUN_H_
#define DIFFUSIOND_MODEL_EVALUATION_ODE_RUN_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/evaluation/ode_likelihood.h"

namespace diffusiond {

struct OdeRunState {
  std::filesystem::path state;  // The results so far.
  std::string fingerprint;      // Of model, data and everything that changes the result.
};

// OdeBitsPerDim of every image, `labels` one each, on all lanes at once; they have equal rows, at
// least one. Goes on from the state if it is there; the results are the same bits whether or not
// the run was interrupted. `progress` hears how many images are done, at the start too.
// FAILED_PRECONDITION: the state is of another run.
absl::StatusOr<std::vector<double>> RunOde(const OdeOptions& options, const NoiseAngles& angles,
                                           const ImageDataset& data,
                                           const std::vector<int64_t>& labels,
                                           const OdeRunState& keep,
                                           std::vector<std::unique_ptr<NetworkVjp>> lanes,
                                           const std::function<void(int64_t done)>& progress);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_EVALUATION_ODE_RUN_H_
