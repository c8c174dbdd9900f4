// How a load run goes, while it runs.
#ifndef DIFFUSIOND_CLIENT_COMMANDS_LOAD_PROGRESS_H_
#define DIFFUSIOND_CLIENT_COMMANDS_LOAD_PROGRESS_H_

#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "client/load/load_run.h"
#include "client/terminal.h"

namespace diffusiond {

// "12.0 s: 60 of 300 sent, 4 in flight, 54 ok, 2 refused, 0 otherwise".
std::string LoadProgressLine(const LoadProgress& progress);

// On a terminal one line that is drawn over itself; elsewhere a line every ten seconds. Not
// thread-safe.
class LoadProgressPrinter {
 public:
  // `out` not owned.
  LoadProgressPrinter(const Terminal& terminal, std::ostream* out);
  ~LoadProgressPrinter();  // Clears the line.
  LoadProgressPrinter(const LoadProgressPrinter&) = delete;
  LoadProgressPrinter& operator=(const LoadProgressPrinter&) = delete;

  void Print(const LoadProgress& progress);

 private:
  const Terminal terminal_;
  std::ostream* const out_;
  bool drawn_ = false;
  absl::Duration next_line_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_COMMANDS_LOAD_PROGRESS_H_
