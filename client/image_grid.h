// Images by two choices, each named at its row or column.
#ifndef DIFFUSIOND_CLIENT_IMAGE_GRID_H_
#define DIFFUSIOND_CLIENT_IMAGE_GRID_H_

#include <span>
#include <string>
#include <vector>

#include "model/imaging/image.h"

namespace diffusiond {

// Row by row, as many as rows times columns have labels; small images enlarged by a whole factor,
// so that the longest side is `min_side` or nearly. Labels stand above the columns and left of the
// rows; a column is as wide as its label, a list of empty labels takes no room.
Image ComposeGrid(std::span<const Image> images, const std::vector<std::string>& columns,
                  const std::vector<std::string>& rows, int min_side = 84);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_IMAGE_GRID_H_
