// A server's words are its own: none of them acts on the terminal.
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "absl/flags/reflection.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/commands/commands.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/client/fake_diffusion_service.h"

namespace diffusiond {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A terminal's title, a colour by C1's CSI, and what turns the direction of text.
constexpr char kEvil[] = "\x1b]0;owned\x07\xc2\x9b;31m\xe2\x80\xae";
constexpr char kShown[] = "\\x1b]0;owned\\x07\\xc2\\x9b;31m\\xe2\\x80\\xae";

// All that the command prints.
std::string Print(const FakeDiffusionServer& server, std::vector<std::string> arguments) {
  const absl::FlagSaver saver;
  const auto cancellation = Cancellation::Create().value();
  std::ostringstream out;
  CommandContext context{.out = &out,
                         .err = &out,
                         .cancellation = cancellation.get(),
                         .terminal = [] { return Terminal(); },
                         .now = absl::Now};
  arguments.push_back("--server=" + server.target());
  RunDiffusionctl(arguments, context);
  return out.str();
}

void ExpectEscaped(const std::string& printed) {
  EXPECT_THAT(printed, HasSubstr(kShown));
  for (const char* raw : {"\x1b", "\x07", "\xc2\x9b", "\xe2\x80\xae"}) {
    EXPECT_THAT(printed, Not(HasSubstr(raw)));
  }
}

TEST(ForeignTextTest, OfModelsIsEscaped) {
  v1::Model model = TinyModel();
  model.mutable_classes(0)->set_name(kEvil);
  model.add_warnings(kEvil);
  model.set_prediction_type(kEvil);
  model.mutable_numerics()->set_device_kind(kEvil);
  model.mutable_samplers(0)->set_description(kEvil);
  model.mutable_defaults()->set_sampler(kEvil);
  const FakeDiffusionServer server({.models = {model}});
  ExpectEscaped(Print(server, {"models"}));
  ExpectEscaped(Print(server, {"models", "tiny"}));
  ExpectEscaped(Print(server, {"samplers"}));
}

TEST(ForeignTextTest, OfWhatIsDrawnIsEscaped) {
  std::vector<v1::GenerateEvent> events = TinyStream(1, 1);
  events[0].mutable_accepted()->mutable_parameters()->set_model(kEvil);
  const FakeDiffusionServer server({.events = events, .models = {TinyModel()}});
  const std::filesystem::path out = std::filesystem::path(testing::TempDir()) / "foreign_text";
  ExpectEscaped(Print(server, {"generate", "--out=" + out.string()}));
  std::filesystem::remove_all(out);
}

TEST(ForeignTextTest, OfErrorsIsEscapedLineByLine) {
  google::rpc::BadRequest bad_request;
  bad_request.add_field_violations()->set_description(absl::StrCat(kEvil, "!"));
  google::rpc::Status details;
  details.add_details()->PackFrom(bad_request);
  const FakeDiffusionServer server(
      {.status = {grpc::StatusCode::INVALID_ARGUMENT, absl::StrCat("a\nb", kEvil),
                  details.SerializeAsString()}});
  const std::string printed = Print(server, {"generate", "--quiet"});
  ExpectEscaped(printed);
  EXPECT_THAT(printed, HasSubstr("a\\nb"));
}

}  // namespace
}  // namespace diffusiond
