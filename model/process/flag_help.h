// What --help says of a program's flags.
#ifndef DIFFUSIOND_MODEL_PROCESS_FLAG_HELP_H_
#define DIFFUSIOND_MODEL_PROCESS_FLAG_HELP_H_

#include <string>

namespace diffusiond {

// Columns of the terminal that standard output is, 80 if it is none.
int HelpColumns();

// The usage message that main set, then every flag of the project's sources that is linked, none of
// libraries: under a heading for each source that has some, that of main first, in the alphabet's
// order.
std::string FlagHelp(int columns);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_FLAG_HELP_H_
