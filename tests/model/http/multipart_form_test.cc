#include "model/http/multipart_form.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kType[] = "multipart/form-data; boundary=xYz";

std::string Part(const std::string& headers, const std::string& content) {
  return absl::StrCat("--xYz\r\n", headers, "\r\n\r\n", content, "\r\n");
}

std::string Named(const std::string& name, const std::string& content) {
  return Part(absl::StrCat("Content-Disposition: form-data; name=\"", name, "\""), content);
}

std::string Refusal(const std::string& body, const std::string& type = kType) {
  const auto parts = ParseMultipartForm(type, body);
  return parts.ok() ? "" : std::string(parts.status().message());
}

TEST(MultipartFormTest, HasTextsAndFilesWithWhateverBytes) {
  const std::string bytes("\r\n--xY\0\r\n\r\n--\r\n-xYz--", 22);
  // Contents are of the body.
  const std::string body =
      absl::StrCat(Named("prompt", "a bag"),
                   Part("content-disposition: form-data; filename=\"C:\\a \\\"b\\\".png\"; "
                        "name=image\r\nContent-Type: image/png",
                        bytes),
                   Named("n", ""), "--xYz--\r\nbehind it");
  const auto parts = ParseMultipartForm(kType, body);
  ASSERT_TRUE(parts.ok()) << parts.status();
  ASSERT_THAT(*parts, SizeIs(3));
  EXPECT_EQ((*parts)[0].name, "prompt");
  EXPECT_EQ((*parts)[0].content, "a bag");
  EXPECT_FALSE((*parts)[0].is_file);
  EXPECT_EQ((*parts)[1].name, "image");
  EXPECT_EQ((*parts)[1].content, bytes);
  EXPECT_TRUE((*parts)[1].is_file);
  EXPECT_EQ((*parts)[2].content, "");
}

TEST(MultipartFormTest, TheBoundaryIsTakenAsItIsTold) {
  const std::string disposition = "Content-Disposition: form-data; name=a";
  for (const char* type : {"multipart/form-data; boundary=\"a b\"",
                           "Multipart/Form-Data;charset=utf-8; BOUNDARY=\"a b\";"}) {
    const std::string body =
        absl::StrCat("before\r\n--a b \t\r\n", disposition, "\r\n\r\n7\r\n--a b--");
    const auto parts = ParseMultipartForm(type, body);
    ASSERT_TRUE(parts.ok()) << parts.status();
    ASSERT_THAT(*parts, SizeIs(1));
    EXPECT_EQ((*parts)[0].content, "7");
  }
}

TEST(MultipartFormTest, EmptyFormsAndContentsWithoutLinesOfTheirOwn) {
  EXPECT_THAT(ParseMultipartForm(kType, "--xYz--").value(), SizeIs(0));
  const auto parts = ParseMultipartForm(
      kType, "--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\n--xYz--\r\n");
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ((*parts)[0].content, "");
}

TEST(MultipartFormTest, SaysWhatIsWrong) {
  const std::string end = "--xYz--\r\n";
  EXPECT_EQ(Refusal(end, "application/json"), "the body is no multipart/form-data");
  EXPECT_EQ(Refusal(end, ""), "the body is no multipart/form-data");
  EXPECT_THAT(Refusal(end, "multipart/form-data"), HasSubstr("boundary of 1 .. 70"));
  EXPECT_THAT(Refusal(end, absl::StrCat("multipart/form-data; boundary=", std::string(71, 'x'))),
              HasSubstr("boundary of 1 .. 70"));
  EXPECT_THAT(Refusal("", kType), HasSubstr("its boundary is not in it"));
  EXPECT_THAT(Refusal(Named("a", "7")), HasSubstr("ends before its last boundary"));
  EXPECT_THAT(Refusal("--xYz"), HasSubstr("text stands behind a boundary"));
  EXPECT_THAT(Refusal(absl::StrCat("--xYzz\r\n", end)), HasSubstr("text stands behind a boundary"));
  EXPECT_THAT(Refusal("--xYz\r\nContent-Disposition: form-data; name=a"),
              HasSubstr("headers do not end"));
  EXPECT_THAT(Refusal(absl::StrCat("--xYz\r\n\r\n7\r\n", end)),
              HasSubstr("no Content-Disposition"));
  EXPECT_THAT(Refusal(absl::StrCat(Part("Content-Disposition: form-data", "7"), end)),
              HasSubstr("no name of its own"));
  EXPECT_THAT(Refusal(absl::StrCat(Part("Content-Disposition: attachment; name=a", "7"), end)),
              HasSubstr("no name of its own"));
  EXPECT_THAT(Refusal(absl::StrCat(Part("Content-Disposition: form-data; name=\"a", "7"), end)),
              HasSubstr("does not end"));
  EXPECT_THAT(Refusal(absl::StrCat(Part("Content-Disposition: form-data; name=\"a\"b", "7"), end)),
              HasSubstr("text after a quoted text"));
  EXPECT_THAT(Refusal(absl::StrCat(Part("no header", "7"), end)), HasSubstr("no header"));
  EXPECT_THAT(Refusal(absl::StrCat(Part("Content-Disposition: form-data; name=a\r\n"
                                        "Content-Transfer-Encoding: base64",
                                        "7"),
                                   end)),
              HasSubstr("transfer encoding"));
}

TEST(MultipartFormTest, HasItsLimits) {
  std::string body;
  for (size_t i = 0; i < kMaxFormParts; ++i) body += Named("a", "7");
  EXPECT_EQ(Refusal(absl::StrCat(body, "--xYz--")), "");
  EXPECT_THAT(Refusal(absl::StrCat(body, Named("a", "7"), "--xYz--")),
              HasSubstr("more than 100 parts"));
  EXPECT_THAT(Refusal(absl::StrCat(Named(std::string(kMaxPartHeaderBytes, 'a'), "7"), "--xYz--")),
              HasSubstr("larger than 4096 bytes"));
}

}  // namespace
}  // namespace diffusiond
