// diffusion-train's flags of the objective and of the noise schedule it is stated in.
#ifndef DIFFUSIOND_MODEL_TRAINING_OPTIONS_OBJECTIVE_FLAGS_H_
#define DIFFUSIOND_MODEL_TRAINING_OPTIONS_OBJECTIVE_FLAGS_H_

#include "model/config/scheduler_config.h"
#include "model/training/options/objective_options.h"

namespace diffusiond {

SchedulerConfig SchedulerFromFlags();
ObjectiveOptions ObjectiveFromFlags();

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_TRAINING_OPTIONS_OBJECTIVE_FLAGS_H_
