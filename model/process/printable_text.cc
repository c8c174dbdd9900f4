#include "model/process/printable_text.h"

#include <cstddef>
#include <cstdint>

namespace diffusiond {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// Bytes of the UTF-8 character that `text` begins with, and the character; 0: it begins with none.
size_t Decode(absl::string_view text, uint32_t* character) {
  const auto byte = [&text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) {
    *character = first;
    return 1;
  }
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  *character = first & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    *character = *character << 6 | (byte(i) & 0x3Fu);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // Shorter forms exist below these.
  const bool surrogate = *character >= 0xD800 && *character <= 0xDFFF;
  return *character < kLeast[length] || *character > 0x10FFFF || surrogate ? 0 : length;
}

bool IsPrintable(uint32_t character) {
  const auto in = [character](uint32_t low, uint32_t high) {
    return character >= low && character <= high;
  };
  return !in(0, 0x1F) && !in(0x7F, 0x9F) &&             // C0, DEL, C1.
         character != 0x061C && !in(0x200E, 0x200F) &&  // Marks of direction,
         !in(0x202A, 0x202E) && !in(0x2066, 0x2069) &&  // embeddings, overrides, isolates.
         !in(0x2028, 0x2029);                           // Ends of line and paragraph.
}

void AppendEscaped(absl::string_view bytes, std::string* text) {
  for (const char c : bytes) {
    switch (c) {
      case '\n':
        *text += "\\n";
        break;
      case '\r':
        *text += "\\r";
        break;
      case '\t':
        *text += "\\t";
        break;
      default: {
        const auto value = static_cast<unsigned char>(c);
        *text += {'\\', 'x', kHex[value >> 4], kHex[value & 15]};
      }
    }
  }
}

std::string Escaped(absl::string_view text, bool keep_line_ends) {
  std::string escaped;
  while (!text.empty()) {
    uint32_t character = 0;
    const size_t length = Decode(text, &character);
    const absl::string_view bytes = text.substr(0, length == 0 ? 1 : length);
    const bool stays = length > 0 && (IsPrintable(character) || (keep_line_ends && bytes == "\n"));
    if (stays) {
      escaped.append(bytes.data(), bytes.size());
    } else {
      AppendEscaped(bytes, &escaped);
    }
    text.remove_prefix(bytes.size());
  }
  return escaped;
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    uint32_t character = 0;
    const size_t length = Decode(text, &character);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

bool IsPrintable(absl::string_view text) {
  while (!text.empty()) {
    uint32_t character = 0;
    const size_t length = Decode(text, &character);
    if (length == 0 || !IsPrintable(character)) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string Printable(absl::string_view text) { return Escaped(text, false); }

std::string PrintableLines(absl::string_view text) { return Escaped(text, true); }

}  // namespace diffusiond
