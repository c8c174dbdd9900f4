// Ctrl-C as a Cancellation.
#ifndef DIFFUSIOND_CLIENT_INTERRUPT_H_
#define DIFFUSIOND_CLIENT_INTERRUPT_H_

#include "client/cancellation.h"

namespace diffusiond {

// From now on SIGINT, SIGTERM and SIGHUP throw `cancellation`, which must live until the process
// ends. A second signal ends the process at once (exit code 130), after giving the terminal at
// `terminal_fd` back its cursor; -1: there is no terminal. Call once, from main.
void CancelOnSignals(Cancellation* cancellation, int terminal_fd);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_INTERRUPT_H_
