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
  Waiting front = std::move(events_.front());
  events_.pop_front();
  if (front.slot.has_value()) slots_.erase(*front.slot);
  return std::move(front.event);
}

void EventQueue::Clear() {
  events_.clear();
  slots_.clear();
}

}  // namespace diffusiond
