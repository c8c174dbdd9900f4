// What a person sees while Generate runs.
#ifndef DIFFUSIOND_CLIENT_GENERATE_DISPLAY_H_
#define DIFFUSIOND_CLIENT_GENERATE_DISPLAY_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "client/terminal.h"
#include "diffusiond/v1/diffusion.pb.h"
#include "model/imaging/image.h"

namespace diffusiond {

// Hears of one stream in its order, its image_index counted from the first of its images on; a
// stream may end after any event, and OnEnd is then the last
// call. Thread-compatible.
class GenerateDisplay {
 public:
  virtual ~GenerateDisplay() = default;
  virtual void OnAccepted(const v1::Accepted& accepted) = 0;
  virtual void OnProgress(const v1::Progress& progress) = 0;
  virtual void OnPreview(const v1::Preview& preview, const Image& picture) = 0;
  virtual void OnImage(const v1::Image& image, const Image& picture) = 0;
  // Leaves the output at the start of a fresh line, whether or not the request succeeded.
  virtual void OnEnd(bool success) = 0;
};

struct DisplayOptions {
  std::ostream* out = nullptr;                   // Not owned, must outlive the display.
  std::function<Terminal()> terminal = nullptr;  // Asked before each frame: its size may change.
  std::function<absl::Time()> now = nullptr;
  // Which previews were asked for: their places are kept from the first frame on.
  bool expect_x_t = false;
  bool expect_x0_hat = false;
};

// One line when accepted and one about every ten percent. No escape codes.
std::unique_ptr<GenerateDisplay> MakePlainDisplay(DisplayOptions options);

// The pictures in the terminal, redrawn in place at most 20 times a second, above a progress bar;
// at the end the finished pictures stay. Hides the cursor from the first frame until OnEnd or
// destruction, whichever comes first.
std::unique_ptr<GenerateDisplay> MakeLiveDisplay(DisplayOptions options);

// Nothing.
std::unique_ptr<GenerateDisplay> MakeSilentDisplay();

// "fashion-mnist", "sneaker", "ddim", "50 steps", ...: what was accepted, most telling first.
std::vector<std::string> DescribeRequest(const v1::Accepted& accepted);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_GENERATE_DISPLAY_H_
