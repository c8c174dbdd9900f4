// What commands take and how they tell of themselves.
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "client/commands/commands.h"
#include "client/commands/connection.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/diffusionctl_fixture.h"
#include "tests/client/fake_diffusion_service.h"

namespace diffusiond {
namespace {

using CommandLineTest = DiffusionctlTest;

TEST_F(CommandLineTest, WhatIsToBeReadFits80Columns) {
  v1::Model model = TinyModel();
  model.set_digest("one word, where the real one is a long one");
  std::string* words = model.mutable_samplers(0)->mutable_description();
  for (int i = 0; i < 40; ++i) *words += " and so on";
  *model.mutable_options(0)->mutable_help() = *words;
  *model.mutable_warnings(0) = *words;
  Serve({.models = {model}});
  for (const std::vector<std::string>& line : std::vector<std::vector<std::string>>{
           {"samplers"}, {"models", "tiny"}, {"help", "generate"}, {"help", "replay"}}) {
    ASSERT_EQ(Run(line), kExitOk) << err();
    std::istringstream lines(out());
    for (std::string text; std::getline(lines, text);) {
      // A name and its values are one word.
      if (absl::StrContains(text, "--")) continue;
      EXPECT_LE(text.size(), 80u) << text;
    }
  }
}

TEST(WithDefaultPortTest, AddsOneWhereNoneIsNamed) {
  for (const auto& [target, expected] :
       std::vector<std::pair<std::string, std::string>>{{"host", "host:1"},
                                                        {"host:", "host:1"},
                                                        {"host:2", "host:2"},
                                                        {"10.0.0.1", "10.0.0.1:1"},
                                                        {"::1", "[::1]:1"},
                                                        {"[::1]", "[::1]:1"},
                                                        {"[::1]:2", "[::1]:2"},
                                                        {"dns:///host", "dns:///host"},
                                                        {"unix:/run/socket", "unix:/run/socket"},
                                                        {"", ""}}) {
    EXPECT_EQ(WithDefaultPort(target, "1"), expected);
  }
}

// Of a field of SamplingOptions there is a flag of its name; of PreviewOptions, with preview_.
TEST_F(CommandLineTest, EveryFieldOfTheApiIsAFlagOfGenerate) {
  const Command command = GenerateCommand();
  std::set<std::string> names(command.flags.begin(), command.flags.end());
  for (const FlagAlias& other : command.aliases) names.insert(other.alias);
  for (const OptionSpec& option : command.options) names.emplace(option.name);
  std::set<std::string> fields;
  const auto* request = v1::GenerateRequest::descriptor();
  for (int i = 0; i < request->field_count(); ++i) {
    const auto* message = request->field(i)->message_type();
    if (message == nullptr) fields.insert(request->field(i)->name());
    for (int j = 0; message != nullptr && j < message->field_count(); ++j) {
      const bool preview = request->field(i)->name() == "preview";
      fields.insert((preview ? "preview_" : "") + message->field(j)->name());
    }
  }
  fields.erase("preview_format");  // All give the same picture in a terminal.
  for (const std::string& field : fields) EXPECT_THAT(names, testing::Contains(field));
}

TEST_F(CommandLineTest, GenerateTakesTheNamesOfTheApi) {
  Serve({.events = TinyStream(1, 1)});
  ASSERT_EQ(Run({"generate", "--out=" + Path("one.png"), "--class_name=dot", "--model_digest=ab",
                 "--preview_every_steps=5", "--preview_kind=x0_hat", "--preview-max-side=9"}),
            kExitOk)
      << err();
  const v1::GenerateRequest request = *server_->last_request();
  EXPECT_EQ(request.class_name(), "dot");
  EXPECT_EQ(request.model_digest(), "ab");
  EXPECT_EQ(request.preview().every_steps(), 5u);
  EXPECT_EQ(request.preview().kind(), v1::PREVIEW_KIND_X0_HAT);
  EXPECT_EQ(request.preview().max_side(), 9u);
}

}  // namespace
}  // namespace diffusiond
