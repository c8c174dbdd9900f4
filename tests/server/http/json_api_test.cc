#include "server/http/json_api.h"

#include <string>

#include "gtest/gtest.h"

namespace diffusiond {
namespace {

std::string ByProtobuf(const google::protobuf::Message& message) { return JsonOf(message); }

TEST(JsonApiTest, WritesProgressAsProtobufDoes) {
  v1::Progress progress;
  EXPECT_EQ(JsonOf(progress), ByProtobuf(progress));
  progress.set_image_index(4294967295);
  progress.set_steps_done(7);
  progress.set_steps_total(1000);
  EXPECT_EQ(JsonOf(progress), ByProtobuf(progress));
}

TEST(JsonApiTest, WritesPreviewsAsProtobufDoes) {
  v1::Preview preview;
  EXPECT_EQ(JsonOf(preview), ByProtobuf(preview));
  preview.set_image_index(3);
  preview.set_steps_done(4294967295);
  preview.set_width(28);
  preview.set_height(32);
  for (const v1::PreviewKind kind : {v1::PREVIEW_KIND_X_T, v1::PREVIEW_KIND_X0_HAT}) {
    for (int format = v1::ImageFormat_MIN; format <= v1::ImageFormat_MAX; ++format) {
      preview.set_kind(kind);
      preview.set_format(static_cast<v1::ImageFormat>(format));
      EXPECT_EQ(JsonOf(preview), ByProtobuf(preview));
    }
  }
  for (const float timestep : {0.0f, 1.0f, 999.0f, 950.5f, 1.0f / 3, 666.6667f, 987.65432f, 1e-7f,
                               0.1f, 123456.7f, 1e6f, 1e7f, 16777216.0f, -0.5f}) {
    preview.set_timestep(timestep);
    EXPECT_EQ(JsonOf(preview), ByProtobuf(preview));
  }
  std::string data;
  for (int size = 0; size < 600; ++size) {
    preview.set_data(data);
    EXPECT_EQ(JsonOf(preview), ByProtobuf(preview));
    data += static_cast<char>(size * 37);
  }
}

}  // namespace
}  // namespace diffusiond
