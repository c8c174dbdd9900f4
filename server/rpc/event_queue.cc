#include "server/rpc/event_queue.h"

#include <iterator>

namespace diffusiond {

void EventQueue::Push(v1::Accepted accepted) {
  v1::GenerateEvent event;
  *event.mutable_accepted() = std::move(accepted);
  Append(std::move(event), std::nullopt);
}

void EventQueue::Push(v1::Progress progress) {
  const uint32_t image = progress.image_index();
  if (images_out_.count(image) > 0) return;
  v1::GenerateEvent event;
  *event.mutable_progress() = std::move(progress);
  Place({image, v1::PREVIEW_KIND_UNSPECIFIED}, std::move(event));
}

bool EventQueue::Push(v1::Preview preview) {
  const Slot slot = {preview.image_index(), preview.kind()};
  if (images_out_.count(preview.image_index()) > 0) return true;
  v1::GenerateEvent event;
  *event.mutable_preview() = std::move(preview);
  return Place(slot, std::move(event));
}

void EventQueue::Push(v1::Image image) {
  images_out_.insert(image.image_index());
  v1::GenerateEvent event;
  *event.mutable_image() = std::move(image);
  Append(std::move(event), std::nullopt);
}

void EventQueue::Push(v1::Completed completed) {
  v1::GenerateEvent event;
  *event.mutable_completed() = std::move(completed);
  Append(std::move(event), std::nullopt);
}

bool EventQueue::Place(Slot slot, v1::GenerateEvent event) {
  const auto waiting = slots_.find(slot);
  if (waiting != slots_.end()) {
    waiting->second->event = std::move(event);
    return true;
  }
  Append(std::move(event), slot);
  return false;
}

void EventQueue::Append(v1::GenerateEvent event, std::optional<Slot> slot) {
  events_.push_back(Waiting{std::move(event), slot});
  if (slot.has_value()) slots_[*slot] = std::prev(events_.end());
}

std::optional<v1::GenerateEvent> EventQueue::Pop() {
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
