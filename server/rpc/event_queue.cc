#include "server/rpc/event_queue.h"

#include <iterator>

namespace diffusiond {

void EventQueue::Push(StreamEvent::Progress progress) {
  if (images_out_.count(progress.image_index) > 0) return;
  const Slot slot = {progress.image_index, PreviewContent::kNone};
  const auto older = slots_.find(slot);
  if (older == slots_.end()) return Append(progress, slot);
  older->second->event.what = progress;
}

bool EventQueue::Push(StreamEvent::Preview preview) {
  if (images_out_.count(preview.image_index) > 0) return true;
  const Slot slot = {preview.image_index, preview.kind};
  // At the end and not in the older one's place: of the same step another kind may wait behind
  // that, which would then seem to go back.
  const auto older = slots_.find(slot);
  const bool is_lost = older != slots_.end();
  if (is_lost) events_.erase(older->second);
  Append(std::move(preview), slot);
  return is_lost;
}

void EventQueue::Push(StreamEvent::FinalImage image) {
  images_out_.insert(image.image_index);
  Append(std::move(image), std::nullopt);
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
