#include "server/http/openai_images.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/test_server.h"

namespace diffusiond {
namespace {

TEST(OpenAiImagesTest, FieldsOfPreviewsStandBesidePartialImages) {
  ModelCatalog catalog("clothes");
  catalog.Put(TestModel("clothes"));
  const auto task = ReadOpenAiGeneration(
      {.method = "POST",
       .path = "/v1/images/generations",
       .body = R"({"prompt": "0", "stream": true, "steps": 10, "partial_images": 2,
                   "max_side": 14})"},
      catalog);
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->request.preview().max_side(), 14u);
  EXPECT_EQ(task->request.preview().every_steps(), 4u);
}

TEST(OpenAiImagesTest, AsManyPartialImagesAreDrawnAsStepsAllow) {
  ModelCatalog catalog("clothes");
  catalog.Put(TestModel("clothes"));
  for (uint32_t steps = 1; steps <= 60; ++steps) {
    for (uint32_t asked = 1; asked <= 8; ++asked) {
      const HttpRequest request = {
          .method = "POST",
          .path = "/v1/images/generations",
          .body = absl::StrCat(R"({"prompt": "0", "stream": true, "sampler": "ddim", "steps": )",
                               steps, R"(, "partial_images": )", asked, "}")};
      const auto task = ReadOpenAiGeneration(request, catalog);
      ASSERT_TRUE(task.ok()) << task.status();
      const uint32_t every = task->request.preview().every_steps();
      ASSERT_GE(every, 1u);
      // The last step's is the image itself.
      EXPECT_GE((steps - 1) / every, std::min(asked, steps - 1)) << steps << " " << asked;
      if (steps == 20 && asked == 3) {
        EXPECT_EQ(every, 5u) << "a quarter each";
      }
    }
  }
}

}  // namespace
}  // namespace diffusiond
