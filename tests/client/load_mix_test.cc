#include "client/load/load_mix.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;

TEST(LoadMixTest, TakesEveryKey) {
  const auto mix = ParseLoadMix(
      "short weight=0.8 steps=20 tenant=b; long model=fashion weight=0.2 steps=250 sampler=ddim "
      "eta=0 count=2 guidance_scale=1.5 class=sneaker variance=zero timestep_spacing=trailing "
      "clip_sample=false "
      "preview_every=5 preview=both preview_max_side=64 format=raw priority=high tenant=a "
      "deadline=10s cancel_after=2;");
  ASSERT_TRUE(mix.ok()) << mix.status();
  ASSERT_EQ(mix->entries.size(), 2u);
  const LoadEntry& brief = mix->entries[0];
  EXPECT_EQ(brief.name, "short");
  EXPECT_EQ(brief.weight, 0.8);
  EXPECT_EQ(brief.request.sampling().steps(), 20u);
  EXPECT_EQ(brief.tenant, "b");
  const LoadEntry& entry = mix->entries[1];
  EXPECT_EQ(entry.name, "long");
  EXPECT_EQ(entry.weight, 0.2);
  EXPECT_EQ(entry.tenant, "a");
  EXPECT_EQ(entry.deadline, absl::Seconds(10));
  EXPECT_EQ(entry.cancel_after, absl::Seconds(2));
  const v1::GenerateRequest& request = entry.request;
  EXPECT_EQ(request.model(), "fashion");
  EXPECT_EQ(request.sampling().steps(), 250u);
  EXPECT_EQ(request.sampling().sampler(), "ddim");
  EXPECT_TRUE(request.sampling().has_eta());
  EXPECT_EQ(request.sampling().eta(), 0);
  EXPECT_EQ(request.count(), 2u);
  EXPECT_EQ(request.sampling().guidance_scale(), 1.5f);
  EXPECT_EQ(request.class_name(), "sneaker");
  EXPECT_EQ(request.sampling().variance(), "zero");
  EXPECT_EQ(request.sampling().timestep_spacing(), "trailing");
  EXPECT_TRUE(request.sampling().has_clip_sample());
  EXPECT_FALSE(request.sampling().clip_sample());
  EXPECT_EQ(request.preview().every_steps(), 5u);
  EXPECT_EQ(request.preview().kind(), v1::PREVIEW_KIND_BOTH);
  EXPECT_EQ(request.preview().max_side(), 64u);
  EXPECT_EQ(request.format(), v1::IMAGE_FORMAT_RAW_FLOAT32);
  EXPECT_EQ(request.priority(), v1::PRIORITY_HIGH);
}

TEST(LoadMixTest, LeavesTheRestToTheServer) {
  const auto mix = ParseLoadMix("plain");
  ASSERT_TRUE(mix.ok()) << mix.status();
  EXPECT_EQ(mix->entries[0].request.SerializeAsString(), "");
  EXPECT_EQ(mix->entries[0].deadline, absl::InfiniteDuration());
  EXPECT_EQ(mix->entries[0].cancel_after, absl::InfiniteDuration());
  EXPECT_EQ(mix->entries[0].weight, 1);
}

TEST(LoadMixTest, TakesAClassById) {
  const auto mix = ParseLoadMix("one class=3");
  ASSERT_TRUE(mix.ok()) << mix.status();
  EXPECT_EQ(mix->entries[0].request.class_id(), 3u);
}

std::string ManyEntries() {
  std::string text;
  for (size_t i = 0; i <= kMaxMixEntries; ++i) absl::StrAppend(&text, i == 0 ? "" : ";", "e", i);
  return text;
}

struct WrongMix {
  const char* name;
  std::string text;
  std::vector<std::string> says;
};

class WrongMixTest : public testing::TestWithParam<WrongMix> {};

TEST_P(WrongMixTest, IsToldOf) {
  const absl::Status status = ParseLoadMix(GetParam().text).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  for (const std::string& part : GetParam().says) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Mixes, WrongMixTest,
    testing::Values(
        WrongMix{"Empty", "", {"a name is expected"}},
        WrongMix{"EmptyEntry", "a;;b", {"a name is expected"}},
        WrongMix{"NoName", "steps=20", {"'steps=20'", "a name is expected first"}},
        WrongMix{"LongName", std::string(kMaxEntryNameBytes + 1, 'x'), {"1 .. 40"}},
        WrongMix{"NameTwice", "a; b; a steps=3", {"'a'", "twice"}},
        WrongMix{"KeyTwice", "a steps=3 steps=4", {"'a'", "steps='4'", "once"}},
        WrongMix{"UnknownKey", "a stpes=3", {"'a'", "'stpes'", "steps"}},
        WrongMix{"NoValue", "a steps", {"'a'", "steps=''", "1..100000"}},
        WrongMix{"StepsNoNumber", "a steps=many", {"'a'", "steps='many'", "1..100000"}},
        WrongMix{"StepsZero", "a steps=0", {"steps='0'", "1..100000"}},
        WrongMix{"StepsTooMany", "a steps=100001", {"steps='100001'", "1..100000"}},
        WrongMix{"CountNegative", "a count=-1", {"count='-1'", "1 .. 100000"}},
        WrongMix{"WeightZero", "a weight=0", {"weight='0'", "above 0"}},
        WrongMix{"WeightNaN", "a weight=nan", {"weight='nan'", "above 0"}},
        WrongMix{"WeightTooLarge", "a weight=1e7", {"weight='1e7'", "at most 1e+06"}},
        WrongMix{"EtaInfinite", "a eta=inf", {"eta='inf'", "0..1"}},
        WrongMix{"GuidanceNoNumber", "a guidance_scale=x", {"guidance_scale='x'", "0..50"}},
        WrongMix{"ClassEmpty", "a class=", {"class=''", "a name without blanks"}},
        WrongMix{"ClipNoBool", "a clip_sample=2", {"clip_sample='2'", "true|false"}},
        WrongMix{"UnknownPreview", "a preview=x1", {"preview='x1'", "x_t, x0 or both"}},
        WrongMix{"UnknownFormat", "a format=gif", {"format='gif'", "png, webp, jpeg or raw"}},
        WrongMix{"UnknownPriority", "a priority=top", {"'top'", "high, normal or low"}},
        WrongMix{"TenantTooLong", "a tenant=" + std::string(129, 't'), {"'a'", "1 .. 128"}},
        WrongMix{"TenantNotAscii", "a tenant=\xc3\xa4", {"tenant=", "printable ASCII"}},
        WrongMix{"DeadlineZero", "a deadline=0s", {"deadline='0s'", "a time such as 10s"}},
        WrongMix{"DeadlineInfinite", "a deadline=inf", {"deadline='inf'", "at most 24h"}},
        WrongMix{"CancelNoTime", "a cancel_after=soon", {"cancel_after='soon'", "at most 24h"}},
        WrongMix{"TooManyEntries", ManyEntries(), {"17 entries", "1 .. 16"}},
        WrongMix{"TooLong", std::string(kMaxMixBytes + 1, ' '), {"16385 bytes", "16384"}}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace diffusiond
