// What a program owes its standard streams.
#ifndef DIFFUSIOND_MODEL_PROCESS_STANDARD_STREAMS_H_
#define DIFFUSIOND_MODEL_PROCESS_STANDARD_STREAMS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace diffusiond {

// Opens /dev/null in place of each of the descriptors 0, 1 and 2 that is closed. Else the next file
// or pipe that the program opens gets its number, and what is printed. First thing in main.
void OpenStandardStreams();

// Exit status of a program that is done: `status`, or 1 if that is 0 and standard output did not
// take all that was printed (a full disk), which is then said on standard error. Last in main.
int FinishStandardOutput(const char* program, int status);

// `text` with what each of its lines begins with in a file or a container's log, as the server's
// do: "2026-01-31T12:00:00.000Z INFO ". As it is where the descriptor is a terminal, before which
// somebody sits.
std::string Stamped(absl::string_view text, const char* level, int descriptor, absl::Time now);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_STANDARD_STREAMS_H_
