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

// The command line that stands for the flags' values, wherever they came from (--flagfile, an
// environment): `program` and each flag of the project's that has not its default, in the
// alphabet's order, quoted for a shell.
std::string CommandByFlags(const std::string& program);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_PROCESS_FLAG_HELP_H_
