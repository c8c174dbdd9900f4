#include "server/rpc/whole_answer.h"

#include <map>
#include <optional>
#include <utility>

namespace diffusiond {

v1::GenerateImagesResponse WholeAnswer(GenerationRun& run, const StreamMessages& messages) {
  v1::GenerateImagesResponse response;
  std::map<int, v1::Image> images;  // By index: they come in any order.
  while (std::optional<StreamEvent> event = run.Next()) {
    if (auto* image = std::get_if<StreamEvent::FinalImage>(&event->what)) {
      const int index = image->image_index;
      images[index] = messages.Of(std::move(*image));
    } else if (const auto* completed = std::get_if<StreamEvent::Completed>(&event->what)) {
      v1::Completed message = messages.Of(*completed);
      *response.mutable_receipt() = std::move(*message.mutable_receipt());
      *response.mutable_timings() = std::move(*message.mutable_timings());
    }
  }
  for (auto& [index, image] : images) *response.add_images() = std::move(image);
  *response.mutable_warnings() = messages.accepted().warnings();
  return response;
}

}  // namespace diffusiond
