#include "client/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace diffusiond {
namespace {

absl::string_view ValueOf(const Environment& environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? absl::string_view() : value;
}

}  // namespace

ColorMode ColorModeOf(const Environment& environment) {
  if (!ValueOf(environment, "NO_COLOR").empty()) return ColorMode::kNone;
  const absl::string_view colorterm = ValueOf(environment, "COLORTERM");
  const absl::string_view term = ValueOf(environment, "TERM");
  if (colorterm == "truecolor" || colorterm == "24bit" || absl::EndsWith(term, "-direct")) {
    return ColorMode::kTrueColor;
  }
  if (term.empty() || term == "dumb" || absl::StartsWith(term, "vt")) return ColorMode::kNone;
  // What calls itself "xterm", "screen" or "linux" has taken the 256 colours for twenty years.
  return ColorMode::k256;
}

Terminal DetectTerminal(int fd, const Environment& environment) {
  Terminal terminal;
  const absl::string_view term = ValueOf(environment, "TERM");
  terminal.interactive = isatty(fd) == 1 && !term.empty() && term != "dumb";
  if (!terminal.interactive) return terminal;
  terminal.color = ColorModeOf(environment);
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0) {
    if (size.ws_col > 0) terminal.columns = size.ws_col;
    if (size.ws_row > 0) terminal.rows = size.ws_row;
  }
  return terminal;
}

}  // namespace diffusiond
