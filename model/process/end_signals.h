// What asks a program to end.
#ifndef DIFFUSIOND_MODEL_PROCESS_END_SIGNALS_H_
#define DIFFUSIOND_MODEL_PROCESS_END_SIGNALS_H_

namespace diffusiond {

// Of SIGINT and SIGTERM, and of SIGHUP unless it is ignored: under nohup a program outlives its
// terminal. Calls that a signal interrupts go on.
void OnEndSignals(void (*handler)(int));

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_END_SIGNALS_H_
