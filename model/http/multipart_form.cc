#include "model/http/multipart_form.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "model/http/http_message.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr absl::string_view kLineEnd = "\r\n";
constexpr size_t kMaxBoundaryBytes = 70;  // RFC 2046, 5.1.1.

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("the form is not readable: ", what));
}

// 'form-data; name="image"; filename="a.png"'
struct Directive {
  std::string word;  // In lower case.
  HttpFields parameters;
};

// What stands between quotes, with its quotes; takes it off `rest`.
absl::StatusOr<std::string> TakeQuoted(absl::string_view* rest) {
  std::string text;
  for (size_t i = 1; i < rest->size(); ++i) {
    char c = (*rest)[i];
    if (c == '"') {
      rest->remove_prefix(i + 1);
      return text;
    }
    // Only these two need it: a path of Windows has others.
    const bool escapes =
        c == '\\' && i + 1 < rest->size() && ((*rest)[i + 1] == '"' || (*rest)[i + 1] == '\\');
    if (escapes) c = (*rest)[++i];
    text += c;
  }
  return Wrong("a quoted text of a header does not end");
}

absl::StatusOr<Directive> ParseDirective(absl::string_view text) {
  Directive directive;
  absl::string_view rest = text.substr(std::min(text.find(';'), text.size()));
  directive.word =
      absl::AsciiStrToLower(absl::StripAsciiWhitespace(text.substr(0, text.size() - rest.size())));
  while (absl::ConsumePrefix(&rest, ";")) {
    rest = absl::StripLeadingAsciiWhitespace(rest);
    if (rest.empty()) break;
    const size_t equals = rest.find('=');
    if (equals == absl::string_view::npos) return Wrong("a header's parameter has no value");
    std::string name = absl::AsciiStrToLower(absl::StripAsciiWhitespace(rest.substr(0, equals)));
    rest = absl::StripLeadingAsciiWhitespace(rest.substr(equals + 1));
    std::string value;
    if (absl::StartsWith(rest, "\"")) {
      ASSIGN_OR_RETURN(value, TakeQuoted(&rest));
      rest = absl::StripLeadingAsciiWhitespace(rest);
    } else {
      const size_t end = std::min(rest.find(';'), rest.size());
      value = std::string(absl::StripAsciiWhitespace(rest.substr(0, end)));
      rest.remove_prefix(end);
    }
    if (!rest.empty() && rest.front() != ';') return Wrong("text after a quoted text of a header");
    directive.parameters.emplace_back(std::move(name), std::move(value));
  }
  return directive;
}

absl::StatusOr<std::string> BoundaryOf(absl::string_view content_type) {
  ASSIGN_OR_RETURN(const Directive type, ParseDirective(content_type));
  if (type.word != "multipart/form-data") {
    return absl::InvalidArgumentError("the body is no multipart/form-data");
  }
  const std::string* const boundary = FindHeader(type.parameters, "boundary");
  if (boundary == nullptr || boundary->empty() || boundary->size() > kMaxBoundaryBytes) {
    return Wrong(
        absl::StrCat("Content-Type names no boundary of 1 .. ", kMaxBoundaryBytes, " characters"));
  }
  return *boundary;
}

// Name, and whether it is a file, by the lines of its headers.
absl::StatusOr<FormPart> PartOf(absl::string_view headers) {
  bool has_disposition = false;
  FormPart part;
  for (const absl::string_view line : absl::StrSplit(headers, kLineEnd, absl::SkipEmpty())) {
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos) return Wrong("a part's header is no header");
    const absl::string_view name = absl::StripAsciiWhitespace(line.substr(0, colon));
    const absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
    if (absl::EqualsIgnoreCase(name, "content-transfer-encoding") &&
        !absl::EqualsIgnoreCase(value, "binary") && !absl::EqualsIgnoreCase(value, "8bit") &&
        !absl::EqualsIgnoreCase(value, "7bit")) {
      return Wrong("a part has a transfer encoding");
    }
    if (!absl::EqualsIgnoreCase(name, "content-disposition")) continue;
    ASSIGN_OR_RETURN(const Directive disposition, ParseDirective(value));
    const std::string* const field = FindHeader(disposition.parameters, "name");
    if (has_disposition || disposition.word != "form-data" || field == nullptr || field->empty()) {
      return Wrong("a part has no name of its own");
    }
    has_disposition = true;
    part.name = *field;
    part.is_file = FindHeader(disposition.parameters, "filename") != nullptr ||
                   FindHeader(disposition.parameters, "filename*") != nullptr;
  }
  if (!has_disposition) return Wrong("a part has no Content-Disposition");
  return part;
}

// `rest` begins behind a part's boundary line; what is taken off it ends at the next boundary.
absl::StatusOr<FormPart> TakePart(const std::string& delimiter, absl::string_view* rest) {
  // The empty line after the headers may be all that comes before the next boundary.
  const size_t end = absl::StartsWith(*rest, kLineEnd) ? 0 : rest->find("\r\n\r\n");
  if (end == absl::string_view::npos) return Wrong("a part's headers do not end");
  if (end > kMaxPartHeaderBytes) {
    return Wrong(absl::StrCat("a part's headers are larger than ", kMaxPartHeaderBytes, " bytes"));
  }
  ASSIGN_OR_RETURN(FormPart part, PartOf(rest->substr(0, end)));
  rest->remove_prefix(end + kLineEnd.size());
  const size_t next = rest->find(delimiter);
  if (next == absl::string_view::npos) return Wrong("it ends before its last boundary");
  if (next > 0) part.content = rest->substr(kLineEnd.size(), next - kLineEnd.size());
  rest->remove_prefix(next + delimiter.size());
  return part;
}

}  // namespace

absl::StatusOr<std::vector<FormPart>> ParseMultipartForm(absl::string_view content_type,
                                                         absl::string_view body) {
  ASSIGN_OR_RETURN(const std::string boundary, BoundaryOf(content_type));
  const std::string delimiter = absl::StrCat(kLineEnd, "--", boundary);
  absl::string_view rest = body;
  if (!absl::ConsumePrefix(&rest, absl::string_view(delimiter).substr(kLineEnd.size()))) {
    const size_t first = rest.find(delimiter);
    if (first == absl::string_view::npos) return Wrong("its boundary is not in it");
    rest.remove_prefix(first + delimiter.size());
  }
  std::vector<FormPart> parts;
  while (!absl::ConsumePrefix(&rest, "--")) {
    rest = rest.substr(std::min(rest.find_first_not_of(" \t"), rest.size()));
    if (!absl::ConsumePrefix(&rest, kLineEnd)) return Wrong("text stands behind a boundary");
    if (parts.size() == kMaxFormParts) {
      return Wrong(absl::StrCat("it has more than ", kMaxFormParts, " parts"));
    }
    ASSIGN_OR_RETURN(FormPart part, TakePart(delimiter, &rest));
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace diffusiond
