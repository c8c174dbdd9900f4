#include "tests/simulation/client.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/engine/refusal.h"
#include "server/rpc/generation_run.h"
#include "tests/simulation/unwatched.h"

namespace diffusiond {
namespace {

// Rows whose network passes are those that the request has.
std::shared_ptr<const SamplingPlan> PlanOf(const World::Request& request) {
  auto plan = std::make_shared<SamplingPlan>();
  plan->steps = request.steps;
  const int rows = request.steps * request.rows_a_step;
  for (int i = 0; i < rows; ++i) {
    PlanRow& row = plan->rows.emplace_back();
    row.noise = i / request.rows_a_step + 1;  // Its step, from 1: where guidance looks.
    row.ends_step = (i + 1) % request.rows_a_step == 0;
    row.next_timestep = rows - 1 - i;
  }
  return plan;
}

GenerationSpec SpecOf(const World::Request& request, const Order& order) {
  GenerationSpec spec;
  spec.model = order.model;
  spec.address = absl::StrCat("address", request.address);
  spec.tenant = absl::StrCat("tenant", request.tenant);
  spec.priority = request.priority;
  spec.preview_every_steps = request.preview_every;
  spec.preview_content = request.preview;
  spec.deadline = order.deadline;
  const std::shared_ptr<const SamplingPlan> plan = PlanOf(request);
  for (int i = 0; i < request.count; ++i) {
    TrajectorySpec& trajectory = spec.trajectories.emplace_back();
    trajectory.plan = plan;
    trajectory.seed = order.seed;
    trajectory.image_index = static_cast<uint32_t>(i);
    trajectory.guidance.scale = request.guided > 1 ? 2 : 1;
    trajectory.guidance.classifier_scale = request.guided > 2 ? 1 : 0;
    trajectory.guidance.sigma_min = request.guided_from + 1;
    trajectory.guidance.sigma_max = request.guided_to + 1;
  }
  return spec;
}

// Between the engine and the run: keeps Promises informed of what the engine tells.
class WatchedRun : public GenerationListener {
 public:
  WatchedRun(Order* order, UnwatchedPtr<Promises> promises, std::shared_ptr<GenerationRun> run)
      : order_(order), promises_(promises), run_(std::move(run)) {}

  void OnProgress(const StepProgress& progress) override {
    const int image = progress.image_index;
    promises_->Progress(*order_, image, progress.steps_done, progress.steps_total);
    order_->images[static_cast<size_t>(image)].in_progress = true;
    run_->OnProgress(progress);
    order_->images[static_cast<size_t>(image)].in_progress = false;
  }
  void OnPreview(int image, int steps_done, double timestep, PreviewContent kind,
                 Frame frame) override {
    promises_->PreviewBegins(*order_, image, steps_done, kind, frame);
    run_->OnPreview(image, steps_done, timestep, kind, std::move(frame));
    promises_->FrameEnds(*order_, image);
  }
  void OnPreviewsDropped(int count) override {
    promises_->PreviewsDropped(*order_, count);
    run_->OnPreviewsDropped(count);
  }
  void OnImage(int image, Frame frame) override {
    promises_->ImageBegins(*order_, image, frame);
    run_->OnImage(image, std::move(frame));
    promises_->FrameEnds(*order_, image);
  }
  void OnFinished(absl::Status status, GenerationTimings timings) override {
    promises_->Finished(*order_, status);
    run_->OnFinished(std::move(status), timings);
  }

 private:
  Order* const order_;
  const UnwatchedPtr<Promises> promises_;
  const std::shared_ptr<GenerationRun> run_;
};

// Of one image, what the client has seen.
struct Seen {
  int steps = 0;
  int preview_steps = 0;
  bool image = false;
};

class Client {
 public:
  Client(const World::Request& request, Engine* engine, Fibers* fibers,
         UnwatchedPtr<Promises> promises)
      : request_(request), engine_(engine), fibers_(fibers), promises_(promises) {}

  // Nothing: it is over. Else when to ask again.
  std::optional<absl::Duration> Ask(ServedVersion model) {
    order_ = &promises_->Ask(request_, model.key, model.version);
    seen_.assign(static_cast<size_t>(request_.count), Seen());
    run_ = MakeRun(std::move(model.lease));
    auto listener = std::make_shared<WatchedRun>(order_, promises_, run_);
    const absl::StatusOr<GenerationId> id = engine_->Submit(SpecOf(request_, *order_), listener);
    if (!id.ok()) {
      promises_->Refused(*order_, id.status());
      return RetryAfter(id.status());
    }
    promises_->Admitted(*order_, *id);
    Follow();
    return std::nullopt;
  }

 private:
  std::shared_ptr<GenerationRun> MakeRun(std::shared_ptr<const void> lease) {
    GenerationRun::Options options;
    options.images = request_.count;
    options.hold = std::move(lease);
    options.encode = [this](const Frame& frame, const EncodeOptions& encode) {
      return Encode(frame, encode);
    };
    options.image.digest = true;
    options.wake = [this, fibers = fibers_] {
      const Unwatched unwatched;
      ++wakes_;
      fibers->WakeAll(this);
    };
    options.on_previews_dropped = [](int) {};
    options.now = [fibers = fibers_] { return fibers->Now(); };
    return std::make_shared<GenerationRun>(std::move(options));
  }

  absl::StatusOr<EncodedFrame> Encode(const Frame& frame, const EncodeOptions& options) {
    fibers_->Sleep(request_.encode);
    EncodedFrame encoded;
    for (const float value : frame.values) absl::StrAppend(&encoded.data, value, " ");
    if (options.digest) {
      const Unwatched unwatched;
      if (images_encoded_++ == request_.bad_encoding) return absl::InternalError("too wide");
      encoded.sha256 = encoded.data;
    }
    return encoded;
  }

  // Takes what there is to take, until the end or until the client goes away.
  void Follow() {
    const absl::Time leaves = fibers_->Now() + request_.cancel;
    const bool reads = request_.read != absl::InfiniteDuration();
    while (true) {
      const int64_t wakes = wakes_;
      const std::optional<absl::Status> outcome = run_->outcome();
      const std::optional<StreamEvent> event = reads ? run_->Next() : std::nullopt;
      if (event.has_value()) {
        Take(*event);
        fibers_->SleepUntil(std::min(leaves, fibers_->Now() + request_.read));
      } else if (outcome.has_value()) {
        return End(*outcome);
      } else if (wakes == wakes_) {
        fibers_->Wait(this, leaves);
      }
      if (fibers_->Now() >= leaves) return Leave();
    }
  }

  void Leave() {
    promises_->Cancel(*order_);
    engine_->Cancel(order_->id, absl::CancelledError("the client went away"));
    promises_->Cancelled(*order_);
    run_->Close();
  }

  void Take(const StreamEvent& event) {
    promises_->Check(accepted_ || std::holds_alternative<StreamEvent::Accepted>(event.what),
                     "accepted comes first", Name());
    promises_->Check(!completed_, "completed comes last", Name());
    accepted_ = true;
    if (const auto* progress = std::get_if<StreamEvent::Progress>(&event.what)) {
      Seen& seen = seen_[static_cast<size_t>(progress->image_index)];
      promises_->Check(!seen.image && progress->steps_done > seen.steps,
                       "the client sees progress in order", Name());
      seen.steps = progress->steps_done;
    } else if (const auto* image = std::get_if<StreamEvent::FinalImage>(&event.what)) {
      Seen& seen = seen_[static_cast<size_t>(image->image_index)];
      promises_->Check(
          !seen.image && (seen.steps == request_.steps || promises_->Troubled(*order_)),
          "the client sees an image once, after all its progress", Name());
      seen.image = true;
    } else if (const auto* preview = std::get_if<StreamEvent::Preview>(&event.what)) {
      Seen& seen = seen_[static_cast<size_t>(preview->image_index)];
      promises_->Check(!seen.image && preview->steps_done >= seen.preview_steps,
                       "the client sees previews in order, and none after the image", Name());
      seen.preview_steps = preview->steps_done;
    } else if (std::holds_alternative<StreamEvent::Completed>(event.what)) {
      completed_ = true;
    }
  }

  void End(const absl::Status& outcome) {
    if (request_.read == absl::InfiniteDuration()) return run_->Close();
    const bool all =
        std::all_of(seen_.begin(), seen_.end(), [](const Seen& it) { return it.image; });
    promises_->Check(outcome.ok() ? all && completed_ : !completed_,
                     "the client has every image, or an error", Name());
    // An image that cannot be encoded ends the call before the engine knows of it.
    if (!order_->told.has_value()) Leave();
  }

  std::string Name() const { return absl::StrCat("order ", order_->seed); }

  const World::Request& request_;
  Engine* const engine_;
  Fibers* const fibers_;
  const UnwatchedPtr<Promises> promises_;
  Order* order_ = nullptr;
  std::shared_ptr<GenerationRun> run_;
  int64_t wakes_ = 0;
  int images_encoded_ = 0;
  std::vector<Seen> seen_;
  bool accepted_ = false, completed_ = false;
};

}  // namespace

void RunClient(const World::Request& request, Engine* engine, Fibers* fibers,
               UnwatchedPtr<Promises> promises, const std::function<ServedVersion()>& model) {
  fibers->Sleep(request.at);
  for (int attempt = 0; attempt <= request.retries; ++attempt) {
    // The run may be told of things after the client went away.
    auto client = std::make_shared<Client>(request, engine, fibers, promises);
    promises->Keep(client);
    const std::optional<absl::Duration> retry = client->Ask(model());
    if (!retry.has_value()) return;
    if (attempt < request.retries) promises->Sometimes("a refused client comes back");
    fibers->Sleep(*retry);
  }
}

}  // namespace diffusiond
