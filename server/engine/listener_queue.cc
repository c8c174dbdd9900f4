#include "server/engine/listener_queue.h"

#include <utility>

namespace diffusiond {
namespace {

// Makes the listener's call of each kind of event; true for the last one.
struct Call {
  GenerationListener* listener;

  bool operator()(ListenerQueue::Progress& event) const {
    listener->OnProgress(event.image_index, event.steps_done, event.steps_total);
    return false;
  }
  bool operator()(ListenerQueue::Preview& event) const {
    listener->OnPreview(event.image_index, event.steps_done, event.timestep, event.kind,
                        std::move(event.frame));
    return false;
  }
  bool operator()(ListenerQueue::FinalImage& event) const {
    listener->OnImage(event.image_index, std::move(event.frame));
    return false;
  }
  bool operator()(ListenerQueue::Finished& event) const {
    listener->OnFinished(std::move(event.status), event.timings);
    return true;
  }
};

}  // namespace

ListenerQueue::ListenerQueue(std::shared_ptr<GenerationListener> listener)
    : listener_(std::move(listener)) {}

void ListenerQueue::Push(Event event) {
  absl::MutexLock lock(&mu_);
  events_.push_back(std::move(event));
}

bool ListenerQueue::Deliver() {
  {
    absl::MutexLock lock(&mu_);
    if (delivering_) return false;
    delivering_ = true;
  }
  bool finished = false;
  while (true) {
    std::vector<Event> events;
    {
      absl::MutexLock lock(&mu_);
      if (events_.empty()) {
        delivering_ = false;
        return finished;
      }
      events.swap(events_);
    }
    for (Event& event : events) finished = std::visit(Call{listener_.get()}, event);
    if (finished) listener_.reset();
  }
}

}  // namespace diffusiond
