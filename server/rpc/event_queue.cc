#include "server/rpc/event_queue.h"

#include <iterator>

namespace diffusiond {

void EventQueue::Push(StreamEvent::Progress progress) {
  if (images_out_.count(progress.image_index) > 0) return;
  Place({progress.image_index, PreviewContent::kNone}, progress);
}

bool EventQueue::Push(StreamEvent::Preview preview) {
  if (images_out_.count(preview.image_index) > 0) return true;
  const Slot slot = {preview.image_index, preview.kind};
  return Place(slot, std::move(preview));
}

void EventQueue::Push(StreamEvent::FinalImage image) {
  images_out_.insert(image.image_index);
  Append(std::move(image), std::nullopt);
}

bool EventQueue::Place(Slot slot, StreamEvent::What what) {
  const auto waiting = slots_.find(slot);
  if (waiting != slots_.end()) {
    waiting->second->event.what = std::move(what);
    return true;
  }
  Append(std::move(what), slot);
  return false;
}

void EventQueue::Append(StreamEvent::What what, std::optional<Slot> slot) {
  events_.push_back(Waiting{{std::move(what)}, slot});
  if (slot.has_value()) slots_[*slot] = std::prev(events_.end());
}

std::optional<StreamEvent> EventQueue::Pop() {
  if (events_.empty()) return std::nullopt;
  auto next = events_.begin();
  if (const auto* preview = std::get_if<StreamEvent::Preview>(&next->event.what)) {
    // The newer x_t is here, and the x0_hat of its step is still being encoded: the one of an
    // earlier step that waits goes first, or previews would go back.
    const PreviewContent other =
        preview->kind == PreviewContent::kXt ? PreviewContent::kX0Hat : PreviewContent::kXt;
    const auto waiting = slots_.find({preview->image_index, other});
    if (waiting != slots_.end() &&
        std::get<StreamEvent::Preview>(waiting->second->event.what).steps_done <
            preview->steps_done) {
      next = waiting->second;
    }
  }
  Waiting front = std::move(*next);
  events_.erase(next);
  if (front.slot.has_value()) slots_.erase(*front.slot);
  return std::move(front.event);
}

void EventQueue::Clear() {
  events_.clear();
  slots_.clear();
}

}  // namespace diffusiond
