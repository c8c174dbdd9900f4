// Generations as OpenAI's images API tells of them.
// https://platform.openai.com/docs/api-reference/images
#ifndef DIFFUSIOND_SERVER_HTTP_OPENAI_ANSWERS_H_
#define DIFFUSIOND_SERVER_HTTP_OPENAI_ANSWERS_H_

#include <memory>
#include <string>

#include "diffusiond/v1/diffusion.pb.h"
#include "model/http/http_message.h"
#include "server/http/event_writer.h"

namespace diffusiond {

// What the answers to one request look like.
struct OpenAiShape {
  std::string task;                   // How events are called: "image_generation", "image_edit".
  std::string size = {};              // "32x32"
  std::string output_format = "png";  // Or "webp", "jpeg".
  bool url = false;                   // A data: URL in place of b64_json.
  int partial_images = 0;             // Of each image, at most.
};

HttpAnswer OpenAiAnswer(const OpenAiShape& shape, const v1::GenerateImagesResponse& response);

// TASK.partial_image, TASK.completed and error.
std::unique_ptr<EventWriter> OpenAiEventsOf(OpenAiShape shape);

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_OPENAI_ANSWERS_H_
