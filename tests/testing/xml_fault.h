// Is it XML?
#ifndef DIFFUSIOND_TESTS_TESTING_XML_FAULT_H_
#define DIFFUSIOND_TESTS_TESTING_XML_FAULT_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace diffusiond {

// "" for XML whose elements close in order and whose text has no bare '&' or '<'; else what is
// wrong.
inline std::string XmlFault(absl::string_view xml) {
  std::vector<std::string> open;
  while (!xml.empty()) {
    const size_t begin = xml.find('<');
    const absl::string_view text = xml.substr(0, begin);
    for (size_t at = text.find('&'); at != text.npos; at = text.find('&', at + 1)) {
      if (text.find(';', at) == text.npos) return absl::StrCat("bare & in ", text);
    }
    if (begin == xml.npos) break;
    const size_t end = xml.find('>', begin);
    if (end == xml.npos) return "an element without end";
    const absl::string_view tag = xml.substr(begin + 1, end - begin - 1);
    if (tag.find('<') != tag.npos) return absl::StrCat("'<' inside ", tag);
    const std::string name(tag.substr(0, tag.find_first_of(" /", 1)));
    if (tag[0] == '/') {
      if (open.empty() || "/" + open.back() != tag) return absl::StrCat("unexpected ", tag);
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
    xml.remove_prefix(end + 1);
  }
  return open.empty() ? "" : absl::StrCat(open.back(), " is left open");
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_XML_FAULT_H_
