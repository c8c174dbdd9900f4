// What a program owes its standard streams.
#ifndef DIFFUSIOND_MODEL_PROCESS_STANDARD_STREAMS_H_
#define DIFFUSIOND_MODEL_PROCESS_STANDARD_STREAMS_H_

namespace diffusiond {

// Opens /dev/null in place of each of the descriptors 0, 1 and 2 that is closed. Else the next file
// or pipe that the program opens gets its number, and what is printed. First thing in main.
void OpenStandardStreams();

// Exit status of a program that is done: `status`, or 1 if that is 0 and standard output did not
// take all that was printed (a full disk), which is then said on standard error. Last in main.
int FinishStandardOutput(const char* program, int status);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_STANDARD_STREAMS_H_
