// The models' versions: the real ChooseVersion over a repository that is not on disk.
#ifndef DIFFUSIOND_TESTS_SIMULATION_VERSIONS_H_
#define DIFFUSIOND_TESTS_SIMULATION_VERSIONS_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/engine/engine.h"
#include "server/versions/version_policy.h"
#include "server/worker/executor_source.h"
#include "server/worker/worker_supervisor.h"
#include "tests/simulation/client.h"
#include "tests/simulation/fibers.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/simulated_device.h"
#include "tests/simulation/unwatched.h"
#include "tests/simulation/world.h"

namespace diffusiond {

// Carries out the policy's actions as RepositoryFollower does, on the engine and the supervisor,
// from one thread of its own.
class Versions {
 public:
  Versions(const World& world, Fibers* fibers, Promises* promises, SimulatedDevices* devices);

  // Loads what there is at first. `supervisor` may be null: then only lone workers run models.
  void LoadAll(Engine* engine, WorkerSupervisor* supervisor);
  // Lives through the world's changes.
  void Start();
  void Stop();

  ServedVersion Serving(int model) const;
  // Of all that is loaded, for a worker that is built.
  StepExecutors MakeExecutors(int device) const;

 private:
  using Loaded = ModelSituation::Loaded;
  struct LoadedVersion {
    std::string key;
    int number = 0, copy = 0;
    std::string stamp;
    std::weak_ptr<const void> users;
    std::shared_ptr<const void> kept;
  };
  struct Model {
    std::vector<int> on_disk = {1};
    std::set<int> broken;
    std::map<int, std::string> stamps = {{1, "0"}};
    std::optional<int> pinned, held;
    std::vector<LoadedVersion> loaded;  // The latest served last.
    std::string serving;                // Its key.
    int before = 0;
    std::map<int, int> loads;
    std::map<int, VersionRefusal> refused;
    bool waits = false;
  };
  // What is no longer used by anybody. Shared with leases, which may outlive this.
  struct Inbox {
    Fibers* fibers = nullptr;
    std::vector<std::pair<int, std::string>> unused;  // Model and key.
    bool stopped = false;
  };
  struct Source {
    std::string key;
    int model = 0;
    int identity = 0;  // Of its weights.
  };

  void Run();
  void Apply(const World::Change& change);
  absl::Status Follow(int model);
  ModelSituation SituationOf(int model, std::map<int, std::string> stamps) const;
  absl::Status Load(int model, int number);
  void Serve(int model, const std::vector<VersionAction>& actions);
  void Hold(int model, int number);
  void UnloadUnused();
  void CheckServed(int model) const;
  std::unique_ptr<StepExecutor> MakeExecutor(const Source& source, int device) const;

  const World& world_;
  Fibers* const fibers_;
  const UnwatchedPtr<Promises> promises_;
  SimulatedDevices* const devices_;
  Engine* engine_ = nullptr;
  WorkerSupervisor* supervisor_ = nullptr;
  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  std::vector<Model> models_;
  std::vector<Source> sources_;
  int stamps_ = 0;
  int thread_ = 0;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_SIMULATION_VERSIONS_H_
