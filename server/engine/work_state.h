// How much there is to do, and how much was done: what the engine tells its metrics, to be read.
#ifndef DIFFUSIOND_SERVER_ENGINE_WORK_STATE_H_
#define DIFFUSIOND_SERVER_ENGINE_WORK_STATE_H_

#include <cstdint>
#include <map>
#include <string>

namespace diffusiond {

struct WorkState {
  // Since the start, all versions of a model together.
  struct Model {
    int64_t step_batches = 0;    // Done.
    int64_t network_passes = 0;  // In them, without padding.
  };

  // As EngineMetrics::QueueDepth.
  int waiting = 0;
  int resident = 0;
  int resident_limit = 0;
  int workers = 0;     // That there should be.
  int workers_up = 0;  // Of them, those that take work.
  std::map<std::string, Model> models = {};
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_ENGINE_WORK_STATE_H_
