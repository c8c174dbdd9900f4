#include "model/imaging/contact_sheet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace diffusiond {
namespace {

using ::testing::ElementsAre;

Image Flat(int width, int height, uint8_t value) {
  return {.width = width,
          .height = height,
          .channels = 1,
          .pixels = std::vector<uint8_t>(width * height, value)};
}

TEST(ContactSheetTest, FillsRowByRowWithGapsAllAround) {
  const Image images[] = {Flat(2, 1, 1), Flat(2, 1, 2), Flat(2, 1, 3)};
  const Image sheet = ContactSheet(images, 2, 1, 9);
  EXPECT_EQ(sheet.width, 7);
  EXPECT_EQ(sheet.height, 5);
  EXPECT_EQ(sheet.channels, 1);
  EXPECT_THAT(sheet.pixels, ElementsAre(9, 9, 9, 9, 9, 9, 9,  //
                                        9, 1, 1, 9, 2, 2, 9,  //
                                        9, 9, 9, 9, 9, 9, 9,  //
                                        9, 3, 3, 9, 9, 9, 9,  //
                                        9, 9, 9, 9, 9, 9, 9));
}

TEST(ContactSheetTest, ColumnsAndGapAreBroughtIntoRange) {
  const Image images[] = {Flat(1, 1, 1), Flat(1, 1, 2)};
  EXPECT_THAT(ContactSheet(images, 100, 0).pixels, ElementsAre(1, 2));
  const Image column = ContactSheet(images, 0, -3);
  EXPECT_EQ(column.width, 1);
  EXPECT_EQ(column.height, 2);
}

TEST(ContactSheetTest, GreyBesideColourBecomesColour) {
  const Image images[] = {Flat(1, 1, 5),
                          {.width = 1, .height = 1, .channels = 3, .pixels = {1, 2, 3}}};
  const Image sheet = ContactSheet(images, 2, 0);
  EXPECT_EQ(sheet.channels, 3);
  EXPECT_THAT(sheet.pixels, ElementsAre(5, 5, 5, 1, 2, 3));
}

TEST(ContactSheetTest, SmallerAndBrokenImagesLeaveBackground) {
  Image broken = Flat(2, 2, 7);
  broken.pixels.pop_back();
  const Image images[] = {Flat(2, 2, 1), Flat(1, 1, 2), broken};
  const Image sheet = ContactSheet(images, 3, 0, 9);
  EXPECT_THAT(sheet.pixels, ElementsAre(1, 1, 2, 9, 9, 9,  //
                                        1, 1, 9, 9, 9, 9));
}

TEST(ContactSheetTest, NothingGivesAnEmptyImage) {
  EXPECT_EQ(ContactSheet({}, 4).width, 0);
  const Image images[] = {Image()};
  EXPECT_EQ(ContactSheet(images, 4).width, 0);
}

}  // namespace
}  // namespace diffusiond
