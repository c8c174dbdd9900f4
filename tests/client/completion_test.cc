// The scripts of `completion`, run by the shells that are there.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands/commands.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/diffusionctl_fixture.h"

namespace diffusiond {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CompletionTest : public DiffusionctlTest {
 protected:
  std::string Script(const std::string& shell) {
    EXPECT_EQ(Run({"completion", shell}), kExitOk) << err();
    std::filesystem::create_directories(directory_);
    std::ofstream(directory_ / shell) << out();
    return Path(shell);
  }

  static std::string OutputOf(const std::string& command) {
    std::string text;
    FILE* const pipe = popen(command.c_str(), "r");
    std::array<char, 4096> buffer;
    while (const size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) {
      text.append(buffer.data(), count);
    }
    EXPECT_EQ(pclose(pipe), 0) << command;
    return std::string(absl::StripAsciiWhitespace(text));
  }

  // What bash offers for the last of the words of a line.
  std::string Bash(const std::vector<std::string>& words) {
    const std::string line = absl::StrJoin(words, " ", [](std::string* text, const auto& word) {
      absl::StrAppend(text, "'", word, "'");
    });
    return OutputOf(absl::StrCat("bash -c \"source ", Script("bash"), "; COMP_WORDS=(", line,
                                 "); COMP_CWORD=", words.size() - 1,
                                 "; _diffusionctl; echo \\\"\\${COMPREPLY[*]}\\\"\""));
  }
};

TEST_F(CompletionTest, BashOffersCommandsFlagsAndTheirWords) {
  EXPECT_EQ(Bash({"diffusionctl", "ge"}), "generate");
  EXPECT_EQ(Bash({"diffusionctl", "help", "sw"}), "swap");
  EXPECT_EQ(Bash({"diffusionctl", "completion", ""}), "bash zsh fish");
  EXPECT_EQ(Bash({"diffusionctl", "generate", "--see"}), "--seed=");
  EXPECT_EQ(Bash({"diffusionctl", "generate", "--jso"}), "--json");
  EXPECT_EQ(Bash({"diffusionctl", "models", "--see"}), "") << "another command's";
  EXPECT_EQ(Bash({"diffusionctl", "generate", "--format", "="}), "png webp jpeg raw");
  EXPECT_EQ(Bash({"diffusionctl", "generate", "--format", "=", "we"}), "webp");
  EXPECT_EQ(Bash({"diffusionctl", "generate", "--format", "we"}), "webp");
  EXPECT_EQ(Bash({"diffusionctl", "generate", "--timestep_spacing", "=", "trai"}), "trailing");
  EXPECT_EQ(Bash({"diffusionctl", "generate", "--out", "=", "a"}), "") << "readline's: files";
}

TEST_F(CompletionTest, EveryShellKnowsEveryFlag) {
  const std::vector<Command> commands = AllCommands();
  for (const char* shell : {"bash", "zsh", "fish"}) {
    Script(shell);
    for (const Command& command : commands) {
      for (const std::string& flag : command.flags) {
        EXPECT_THAT(out(),
                    HasSubstr(absl::StrCat(shell == std::string("fish") ? " -l " : "--", flag)))
            << shell;
      }
    }
  }
}

TEST_F(CompletionTest, ShellsThatAreThereReadTheScripts) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    if (std::system(absl::StrCat("command -v ", shell, " >/dev/null").c_str()) != 0) continue;
    EXPECT_EQ(OutputOf(absl::StrCat(shell, " -n ", Script(shell), " 2>&1")), "");
  }
}

TEST_F(CompletionTest, ZshAndFishAreGivenWordsAndFiles) {
  Script("zsh");
  EXPECT_THAT(out(), AllOf(HasSubstr("'--format=[of the files; by --out'\\''s extension, or "
                                     "png]:value:(png webp jpeg raw)'"),
                           HasSubstr("]:file:_files'")));
  Script("fish");
  EXPECT_THAT(out(), AllOf(HasSubstr("-l format -x -a 'png webp jpeg raw' -d 'of the files; by "
                                     "--out\\'s extension, or png'"),
                           HasSubstr("-l sheet -r -F"), Not(HasSubstr("-l quiet -x"))));
}

TEST_F(CompletionTest, RefusesAShellThatItDoesNotKnow) {
  EXPECT_EQ(Run({"completion", "tcsh"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("bash, zsh or fish"));
}

}  // namespace
}  // namespace diffusiond
