#include "client/terminal_canvas.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "absl/strings/str_cat.h"
#include "model/imaging/resize.h"

namespace diffusiond {
namespace {

struct Rgb {
  int red = 0;
  int green = 0;
  int blue = 0;
  bool operator==(const Rgb&) const = default;
};

constexpr char kUpperHalf[] = "▀";
constexpr std::array<const char*, 5> kShades = {" ", "░", "▒", "▓", "█"};
constexpr int kSmallestSide = 12;  // Pixels; below it nobody recognises anything.
// One more row of pictures must make them larger by so much.
constexpr double kWorthARow = 1.15;

Rgb PixelAt(const Image& image, int x, int y) {
  const uint8_t* pixel = &image.pixels[(static_cast<size_t>(y) * image.width + x) * image.channels];
  if (image.channels == 1) return {pixel[0], pixel[0], pixel[0]};
  return {pixel[0], pixel[1], pixel[2]};
}

double Luminance(const Rgb& color) {
  return 0.299 * color.red + 0.587 * color.green + 0.114 * color.blue;
}

std::string ColorCode(const Rgb& color, bool foreground, ColorMode mode) {
  const char* layer = foreground ? "38" : "48";
  if (mode == ColorMode::kTrueColor) {
    return absl::StrCat(layer, ";2;", color.red, ";", color.green, ";", color.blue);
  }
  return absl::StrCat(layer, ";5;", NearestXtermColor(color.red, color.green, color.blue));
}

// One line of half blocks; repeats no escape code that is still in force.
std::string ColorLine(const Image& image, int line, ColorMode mode) {
  std::string text;
  std::string upper_now, lower_now;
  const bool has_lower = 2 * line + 1 < image.height;
  for (int x = 0; x < image.width; ++x) {
    const std::string upper = ColorCode(PixelAt(image, x, 2 * line), true, mode);
    const std::string lower =
        has_lower ? ColorCode(PixelAt(image, x, 2 * line + 1), false, mode) : "";
    if (upper != upper_now || lower != lower_now) {
      const char* separator = upper != upper_now && lower != lower_now ? ";" : "";
      absl::StrAppend(&text, "\x1b[", upper != upper_now ? upper : "", separator,
                      lower != lower_now ? lower : "", "m");
      upper_now = upper;
      lower_now = lower;
    }
    text += kUpperHalf;
  }
  return text + "\x1b[0m";
}

std::string ShadeLine(const Image& image, int line) {
  std::string text;
  for (int x = 0; x < image.width; ++x) {
    double light = Luminance(PixelAt(image, x, 2 * line));
    if (2 * line + 1 < image.height) {
      light = (light + Luminance(PixelAt(image, x, 2 * line + 1))) / 2;
    }
    const int shade = static_cast<int>(std::lround(light / 255 * (kShades.size() - 1)));
    text += kShades[static_cast<size_t>(shade)];
  }
  return text;
}

// Mean over the source pixels that a target pixel covers, partly covered ones by their share.
Image ReduceTo(const Image& image, int width, int height) {
  Image reduced{width, height, image.channels, {}};
  reduced.pixels.reserve(static_cast<size_t>(width) * height * image.channels);
  const double x_ratio = static_cast<double>(image.width) / width;
  const double y_ratio = static_cast<double>(image.height) / height;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double left = x * x_ratio, right = (x + 1) * x_ratio;
      const double top = y * y_ratio, bottom = (y + 1) * y_ratio;
      std::array<double, 3> sum = {0, 0, 0};
      double area = 0;
      for (int v = static_cast<int>(top); v < bottom && v < image.height; ++v) {
        const double high = std::min<double>(v + 1, bottom) - std::max<double>(v, top);
        for (int u = static_cast<int>(left); u < right && u < image.width; ++u) {
          const double share = high * (std::min<double>(u + 1, right) - std::max<double>(u, left));
          for (int c = 0; c < image.channels; ++c) {
            sum[c] += share *
                      image.pixels[(static_cast<size_t>(v) * image.width + u) * image.channels + c];
          }
          area += share;
        }
      }
      for (int c = 0; c < image.channels; ++c) {
        reduced.pixels.push_back(static_cast<uint8_t>(std::lround(sum[c] / area)));
      }
    }
  }
  return reduced;
}

// How much larger than itself a width x height picture is when it fills columns x lines cells.
double ScaleToCells(int width, int height, int columns, int lines) {
  return std::min(static_cast<double>(columns) / width, 2.0 * lines / height);
}

}  // namespace

int NearestXtermColor(int red, int green, int blue) {
  constexpr std::array<int, 6> kCube = {0, 95, 135, 175, 215, 255};
  const auto nearest_level = [&kCube](int value) {
    int best = 0;
    for (int i = 1; i < 6; ++i) {
      if (std::abs(kCube[i] - value) < std::abs(kCube[best] - value)) best = i;
    }
    return best;
  };
  const auto distance = [&](int r, int g, int b) {
    return (r - red) * (r - red) + (g - green) * (g - green) + (b - blue) * (b - blue);
  };
  const int r = nearest_level(red), g = nearest_level(green), b = nearest_level(blue);
  // The ramp's 24 greys: 8, 18, .. 238.
  const int ramp = std::clamp(((red + green + blue) / 3 - 3) / 10, 0, 23);
  const int grey = 8 + 10 * ramp;
  if (distance(grey, grey, grey) < distance(kCube[r], kCube[g], kCube[b])) return 232 + ramp;
  return 16 + 36 * r + 6 * g + b;
}

TextBlock DrawImage(const Image& image, ColorMode mode) {
  TextBlock block{image.width, {}};
  for (int line = 0; 2 * line < image.height; ++line) {
    block.lines.push_back(mode == ColorMode::kNone ? ShadeLine(image, line)
                                                   : ColorLine(image, line, mode));
  }
  return block;
}

Image FitToCells(const Image& image, int columns, int lines, int max_factor) {
  const double scale = ScaleToCells(image.width, image.height, columns, lines);
  if (scale >= 1) return Upscale(image, std::min(static_cast<int>(scale), max_factor));
  const auto fit = [scale](int side) {
    return std::max(1, static_cast<int>(std::floor(side * scale + 1e-9)));
  };
  return ReduceTo(image, fit(image.width), fit(image.height));
}

TextBlock BesideEachOther(std::span<const TextBlock> blocks, int gap) {
  TextBlock joined;
  size_t lines = 0;
  for (const TextBlock& block : blocks) lines = std::max(lines, block.lines.size());
  joined.lines.resize(lines);
  for (size_t i = 0; i < blocks.size(); ++i) {
    const int indent = i == 0 ? 0 : gap;
    joined.columns += indent + blocks[i].columns;
    for (size_t line = 0; line < lines; ++line) {
      joined.lines[line].append(static_cast<size_t>(indent), ' ');
      if (line < blocks[i].lines.size()) {
        joined.lines[line] += blocks[i].lines[line];
      } else {
        joined.lines[line].append(static_cast<size_t>(blocks[i].columns), ' ');
      }
    }
  }
  return joined;
}

GridLayout LayOutGrid(int count, int width, int height, const GridSpace& space) {
  const double needed = std::min(1.0, static_cast<double>(kSmallestSide) / std::min(width, height));
  for (int shown = count; shown >= 1; --shown) {
    GridLayout best;
    double best_scale = 0;
    for (int rows = 1; rows <= shown; ++rows) {
      const int per_row = (shown + rows - 1) / rows;
      const int all_rows = rows * space.bands;
      const int cell_columns = (space.columns - space.column_gap * (per_row - 1)) / per_row;
      const int cell_lines = (space.lines - space.line_gap * (all_rows - 1)) / all_rows;
      if (cell_columns < 1 || cell_lines < 1) continue;
      double scale = ScaleToCells(width, height, cell_columns, cell_lines);
      if (scale > 1) scale = std::floor(scale);
      if (scale > best_scale * kWorthARow) {
        best_scale = scale;
        best = {shown, per_row, cell_columns, cell_lines};
      }
    }
    if (best_scale >= needed || (shown == 1 && best_scale > 0)) return best;
  }
  return {};
}

}  // namespace diffusiond
