#include "server/engine/outbox.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace diffusiond {

Outbox::Outbox(Options options) : options_(std::move(options)) {
  threads_.emplace_back([this] {
    pthread_setname_np(pthread_self(), "engine events");
    TellAtOnceUntilStopped();
  });
  for (int i = 0; i < options_.frame_threads; ++i) {
    threads_.emplace_back([this] {
      pthread_setname_np(pthread_self(), "engine frames");
      TellFramesUntilStopped();
    });
  }
}

Outbox::~Outbox() {
  AwaitQuiet();  // Frames come back to the thread that tells at once, and the other way round.
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    told_at_once_.SignalAll();
    frame_waits_.SignalAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void Outbox::Add(GenerationId generation, std::shared_ptr<GenerationListener> listener,
                 int images) {
  absl::MutexLock lock(&mu_);
  Generation& added = generations_[generation];
  added.id = generation;
  added.listener = std::move(listener);
  added.lanes.resize(static_cast<size_t>(images));
  for (Lane& lane : added.lanes) lane.generation = &added;
}

void Outbox::Post(std::vector<EngineEvent> events, EngineCounts counts) {
  absl::MutexLock lock(&mu_);
  if (options_.count) counts_.push_back(std::move(counts));
  for (EngineEvent& event : events) {
    Place(generations_.at(event.generation), std::move(event.what));
  }
}

void Outbox::Place(Generation& generation, EngineEvent::What what) {
  if (auto* finished = std::get_if<EngineEvent::Finished>(&what)) {
    return Finish(generation, std::move(*finished));
  }
  if (auto* preview = std::get_if<EngineEvent::Preview>(&what)) {
    Lane& lane = generation.lanes[static_cast<size_t>(preview->image_index)];
    return PlacePreview(generation, lane, std::move(*preview));
  }
  if (const auto* image = std::get_if<EngineEvent::FinalImage>(&what)) {
    Lane& lane = generation.lanes[static_cast<size_t>(image->image_index)];
    lane.frames.push_back(std::move(what));
    return ScheduleAtOnce(lane);
  }
  const auto& progress = std::get<EngineEvent::Progress>(what);
  Lane& lane = generation.lanes[static_cast<size_t>(progress.image_index)];
  lane.progress = progress;
  ScheduleAtOnce(lane);
}

void Outbox::PlacePreview(Generation& generation, Lane& lane, EngineEvent::Preview preview) {
  for (EngineEvent::What& waiting : lane.frames) {
    auto* older = std::get_if<EngineEvent::Preview>(&waiting);
    if (older == nullptr || older->kind != preview.kind) continue;
    // An older picture of the same thing is worth nothing any more.
    std::swap(*older, preview);
    dropped_.push_back(std::move(preview.frame));
    ++generation.previews_dropped;
    return Notice(generation);
  }
  if (waiting_previews_ >= options_.max_waiting_previews) {
    dropped_.push_back(std::move(preview.frame));
    ++generation.previews_dropped;
    return Notice(generation);
  }
  ++waiting_previews_;
  lane.frames.push_back(std::move(preview));
  ScheduleAtOnce(lane);
}

void Outbox::Finish(Generation& generation, EngineEvent::Finished finished) {
  if (!finished.status.ok()) {
    // Nobody wants to see how what is ended was coming along; images that are done are still told.
    for (Lane& lane : generation.lanes) {
      lane.progress.reset();
      const auto dropped =
          std::remove_if(lane.frames.begin(), lane.frames.end(), [this](EngineEvent::What& what) {
            mu_.AssertHeld();
            auto* preview = std::get_if<EngineEvent::Preview>(&what);
            if (preview != nullptr) dropped_.push_back(std::move(preview->frame));
            return preview != nullptr;
          });
      waiting_previews_ -= static_cast<int>(lane.frames.end() - dropped);
      lane.frames.erase(dropped, lane.frames.end());
    }
  }
  generation.finished = std::move(finished);
  if (generation.turns == 0) Notice(generation);
}

void Outbox::ScheduleAtOnce(Lane& lane) {
  if (lane.at_once) return;
  lane.at_once = true;
  ++lane.generation->turns;
  lanes_.push_back(&lane);
}

bool Outbox::ScheduleFrames(Lane& lane) {
  if (lane.at_frames || lane.frames.empty()) return false;
  lane.at_frames = true;
  ++lane.generation->turns;
  if (std::exchange(lane.passed_over, false)) {
    frame_lanes_.push_front(&lane);
  } else {
    frame_lanes_.push_back(&lane);
  }
  return true;
}

void Outbox::EndTurn(Generation& generation) {
  if (--generation.turns == 0 && generation.finished.has_value()) Notice(generation);
}

void Outbox::Notice(Generation& generation) {
  if (generation.noticed) return;
  generation.noticed = true;
  notices_.push_back(&generation);
  told_at_once_.Signal();
}

void Outbox::TellAtOnceUntilStopped() {
  absl::MutexLock lock(&mu_);
  while (true) {
    if (!counts_.empty() || !dropped_.empty()) {
      TellCounts();
    } else if (!notices_.empty()) {
      TellNotice();
    } else if (!lanes_.empty()) {
      TellLanes();
    } else if (stopping_) {
      return;
    } else {
      told_at_once_.Wait(&mu_);
    }
  }
}

void Outbox::TellFramesUntilStopped() {
  absl::MutexLock lock(&mu_);
  while (true) {
    if (!frame_lanes_.empty()) {
      TellFrame();
    } else if (stopping_) {
      return;
    } else {
      frame_waits_.Wait(&mu_);
    }
  }
}

void Outbox::TellCounts() {
  std::vector<EngineCounts> counts = std::exchange(counts_, {});
  std::vector<Frame> dropped = std::exchange(dropped_, {});
  ++telling_;
  mu_.Unlock();
  for (const EngineCounts& count : counts) options_.count(count);
  dropped.clear();
  mu_.Lock();
  --telling_;
}

void Outbox::TellNotice() {
  Generation& generation = *notices_.front();
  notices_.pop_front();
  generation.noticed = false;
  const int dropped = std::exchange(generation.previews_dropped, 0);
  const bool ends = generation.finished.has_value() && generation.turns == 0;
  ++telling_;
  mu_.Unlock();
  // Nobody else erases it, and nothing changes after Finished.
  if (dropped > 0) generation.listener->OnPreviewsDropped(dropped);
  if (ends) {
    generation.listener->OnFinished(std::move(generation.finished->status),
                                    generation.finished->timings);
    generation.listener.reset();
  }
  mu_.Lock();
  --telling_;
  if (ends) generations_.erase(generation.id);
}

void Outbox::TellLanes() {
  const std::vector<Lane*> lanes = std::exchange(lanes_, {});
  std::vector<std::pair<GenerationListener*, EngineEvent::Progress>> told;
  for (Lane* lane : lanes) {
    if (!lane->progress.has_value()) continue;
    told.emplace_back(lane->generation->listener.get(), *lane->progress);
    lane->progress.reset();
  }
  ++telling_;
  mu_.Unlock();
  for (const auto& [listener, progress] : told) {
    listener->OnProgress(progress);
  }
  mu_.Lock();
  --telling_;
  for (Lane* lane : lanes) {
    if (lane->progress.has_value()) {
      lanes_.push_back(lane);
      continue;
    }
    lane->at_once = false;
    if (ScheduleFrames(*lane)) frame_waits_.Signal();
    EndTurn(*lane->generation);
  }
}

void Outbox::TellFrame() {
  Lane& lane = *frame_lanes_.front();
  Generation& generation = *lane.generation;
  frame_lanes_.pop_front();
  // Else what was in front was dropped with its generation's end, or comes after the progress that
  // is just being told.
  if (!lane.frames.empty() && !lane.at_once) {
    EngineEvent::What what = std::move(lane.frames.front());
    lane.frames.erase(lane.frames.begin());
    auto* preview = std::get_if<EngineEvent::Preview>(&what);
    if (preview != nullptr) --waiting_previews_;
    ++telling_;
    mu_.Unlock();
    if (preview != nullptr) {
      generation.listener->OnPreview(preview->image_index, preview->steps_done, preview->timestep,
                                     preview->kind, std::move(preview->frame));
    } else {
      auto& image = std::get<EngineEvent::FinalImage>(what);
      generation.listener->OnImage(image.image_index, std::move(image.frame));
    }
    mu_.Lock();
    --telling_;
  } else {
    lane.passed_over = lane.at_once;
  }
  lane.at_frames = false;
  // Nobody need be woken: this thread looks for a lane next.
  if (!lane.at_once) ScheduleFrames(lane);
  EndTurn(generation);
}

bool Outbox::AwaitAllEnded(absl::Duration timeout) const {
  const auto all_ended = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return generations_.empty(); };
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&all_ended), timeout);
}

void Outbox::AwaitQuiet() const {
  const auto quiet = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return telling_ == 0 && counts_.empty() && notices_.empty() && lanes_.empty() &&
           frame_lanes_.empty();
  };
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&quiet));
}

}  // namespace diffusiond
