// Columns of text.
#ifndef DIFFUSIOND_CLIENT_TEXT_TABLE_H_
#define DIFFUSIOND_CLIENT_TEXT_TABLE_H_

#include <string>
#include <vector>

namespace diffusiond {

// Left-aligned columns, as wide as their longest entry, two spaces apart. Widths count bytes.
class TextTable {
 public:
  // Column titles; none: no title line.
  explicit TextTable(std::vector<std::string> titles);
  // What a terminal would act on is escaped: cells hold what servers say.
  void AddRow(std::vector<std::string> cells);
  // Each line ends with a newline and without blanks before it. The last column is wrapped to make
  // lines of at most `columns` where words and the other columns allow; 0: it is not.
  std::string ToString(int columns = 0) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_TEXT_TABLE_H_
