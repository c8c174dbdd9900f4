#include "client/picture_labels.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/bitmap_text.h"

namespace diffusiond {
namespace {

// Letters of a word in a caption: names are the server's, and may be of any length.
constexpr size_t kLongestWord = 60;

int TextWidth(size_t letters, int scale) {
  return static_cast<int>(letters) * kLetterWidth * scale;
}

size_t Longest(std::span<const std::string> texts) {
  size_t longest = 0;
  for (const std::string& text : texts) longest = std::max(longest, text.size());
  return longest;
}

// Words with commas between, on as few lines as their order allows.
std::vector<std::string> LinesOf(std::span<const std::string> words, size_t letters) {
  std::vector<std::string> lines;
  for (const std::string& word : words) {
    if (!lines.empty() && lines.back().size() + 2 + word.size() <= letters) {
      absl::StrAppend(&lines.back(), ", ", word);
    } else {
      lines.push_back(word);
    }
  }
  return lines;
}

size_t Bytes(int width, int height, int channels) {
  return static_cast<size_t>(width) * static_cast<size_t>(height) * static_cast<size_t>(channels);
}

Image Widened(Image picture, int width, uint8_t paper) {
  if (width <= picture.width) return picture;
  Image wide{width, picture.height, picture.channels, {}};
  const size_t row = Bytes(picture.width, 1, picture.channels);
  for (size_t at = 0; at < picture.pixels.size(); at += row) {
    wide.pixels.insert(wide.pixels.end(), picture.pixels.begin() + static_cast<std::ptrdiff_t>(at),
                       picture.pixels.begin() + static_cast<std::ptrdiff_t>(at + row));
    wide.pixels.resize(wide.pixels.size() + Bytes(width - picture.width, 1, picture.channels),
                       paper);
  }
  return wide;
}

// Paper above.
Image Raised(Image picture, int height, uint8_t paper) {
  picture.pixels.insert(picture.pixels.begin(), Bytes(picture.width, height, picture.channels),
                        paper);
  picture.height += height;
  return picture;
}

}  // namespace

PictureLabels LabelsOf(const v1::ResolvedParameters& parameters) {
  PictureLabels labels{.first_image_index = parameters.first_image_index()};
  if (!parameters.has_class_id()) {
    labels.caption.push_back(parameters.model());
  } else if (parameters.class_name().empty()) {
    labels.caption.push_back(absl::StrCat("class ", parameters.class_id()));
  } else {
    labels.caption.push_back(parameters.class_name());
  }
  labels.caption.push_back(absl::StrCat("seed ", parameters.seed()));
  labels.caption.push_back(
      absl::StrCat(parameters.sampling().sampler(), " ", parameters.sampling().steps(), " steps"));
  for (std::string& word : labels.caption) word.resize(std::min(word.size(), kLongestWord));
  return labels;
}

std::string IndexLabel(uint32_t index) { return absl::StrCat("#", index); }

int LabelScale(std::span<const std::string> labels, int width) {
  return TextWidth(Longest(labels), 2) <= width ? 2 : 1;
}

Image WithLabel(Image picture, absl::string_view label, int scale, LabelStyle style) {
  if (picture.pixels.empty()) return picture;
  const int fitting = picture.width / (kLetterWidth * scale);
  Image labelled = Raised(std::move(picture), kLetterHeight * scale, style.paper);
  DrawText(label.substr(0, static_cast<size_t>(fitting)), 0, 0, scale, style.ink, &labelled);
  return labelled;
}

Image WithCaption(Image picture, std::span<const std::string> words, int margin, LabelStyle style) {
  if (picture.pixels.empty() || words.empty()) return picture;
  const int scale = LabelScale(words, picture.width - 2 * margin);
  const int width = std::max(picture.width, TextWidth(Longest(words), scale) + 2 * margin);
  const std::vector<std::string> lines =
      LinesOf(words, static_cast<size_t>((width - 2 * margin) / (kLetterWidth * scale)));
  const int line_height = kLetterHeight * scale;
  Image captioned = Raised(Widened(std::move(picture), width, style.paper),
                           margin + static_cast<int>(lines.size()) * line_height, style.paper);
  for (size_t i = 0; i < lines.size(); ++i) {
    DrawText(lines[i], margin, margin + static_cast<int>(i) * line_height, scale, style.ink,
             &captioned);
  }
  return captioned;
}

}  // namespace diffusiond
