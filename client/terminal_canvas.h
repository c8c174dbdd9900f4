// Pictures as text: one character cell shows two pixels, one above the other. Pure functions.
#ifndef DIFFUSIOND_CLIENT_TERMINAL_CANVAS_H_
#define DIFFUSIOND_CLIENT_TERMINAL_CANVAS_H_

#include <span>
#include <string>
#include <vector>

#include "client/terminal.h"
#include "model/imaging/image.h"

namespace diffusiond {

// Text that covers `columns` cells in each of its lines. Lines end with colours reset.
struct TextBlock {
  int columns = 0;
  std::vector<std::string> lines;
};

// One column a pixel, one line two rows of pixels: colours in U+2580 (upper half block), or with
// kNone the mean of the two pixels as one of " ░▒▓█". Under an odd last row the terminal's own
// background shows. The image must be one that CheckImage accepts.
TextBlock DrawImage(const Image& image, ColorMode mode);

// Enlarges by a whole factor (at most `max_factor`) or reduces by averaging, so that the picture
// fills at most `columns` x `lines` cells (each at least 1) and keeps its shape.
Image FitToCells(const Image& image, int columns, int lines, int max_factor = 4);

// Blocks side by side with `gap` blank columns between, upper edges aligned.
TextBlock BesideEachOther(std::span<const TextBlock> blocks, int gap);

// How `count` equal pictures are laid out in a terminal.
struct GridLayout {
  int shown = 0;         // Pictures that have room: the first so many.
  int per_row = 0;       // Of these, in each row.
  int cell_columns = 0;  // The box of one picture.
  int cell_lines = 0;
};

// Where a grid may go. Counts at least 1, gaps at least 0.
struct GridSpace {
  int columns = 80;
  int lines = 24;
  int column_gap = 2;  // Between pictures.
  int line_gap = 0;    // Between rows of pictures.
  int bands = 1;       // Each row of pictures comes so many times: for x_t above x0-hat.
};

// The layout that shows `count` pictures of width x height pixels largest, in as even rows as can
// be; few rows rather than many where that costs little. Leaves pictures out rather than drawing
// them smaller than 12 pixels a side.
GridLayout LayOutGrid(int count, int width, int height, const GridSpace& space);

// The index in xterm's 256 colours (16 .. 255) that is nearest to an RGB colour.
int NearestXtermColor(int red, int green, int blue);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_TERMINAL_CANVAS_H_
