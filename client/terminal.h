// What the output is: a terminal of some size and colours, or a file or pipe.
#ifndef DIFFUSIOND_CLIENT_TERMINAL_H_
#define DIFFUSIOND_CLIENT_TERMINAL_H_

#include <functional>
#include <string>

namespace diffusiond {

enum class ColorMode {
  kTrueColor,  // 24 bits.
  k256,        // xterm's cube and grey ramp.
  kNone,       // No colour escape; pictures in shades of block characters.
};

struct Terminal {
  bool interactive = false;  // Takes cursor movement. False: plain lines, no escape codes at all.
  int columns = 80;
  int rows = 24;
  ColorMode color = ColorMode::kNone;
};

using Environment = std::function<const char*(const char* name)>;  // std::getenv's contract.

// NO_COLOR (set and not empty) wins; then COLORTERM, then TERM.
ColorMode ColorModeOf(const Environment& environment);

// Asks the system about file descriptor `fd`. TERM=dumb is not interactive. Async-signal-unsafe.
Terminal DetectTerminal(int fd, const Environment& environment);

// What undoes LiveDisplay's settings: cursor shown, automatic wrap on, colours reset.
inline constexpr char kRestoreTerminal[] = "\x1b[0m\x1b[?7h\x1b[?25h";

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_TERMINAL_H_
