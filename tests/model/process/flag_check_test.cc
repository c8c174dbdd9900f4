#include "model/process/flag_check.h"

#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/process/build_version.h"
#include "model/process/flag_help.h"

ABSL_FLAG(int, test_count, 4, "how many, 1 .. 9");
ABSL_FLAG(bool, test_verbose, false, "say more");
ABSL_FLAG(std::string, test_name, "", "of what");
ABSL_FLAG(absl::Duration, test_wait, absl::Seconds(1), "how long");

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::Status Check(const std::vector<std::string>& arguments) {
  return CheckFlagArguments(arguments).status();
}

class FlagCheckTest : public ::testing::Test {
 protected:
  ~FlagCheckTest() override { unlink(file_.c_str()); }
  void WriteFile(const std::string& text) { std::ofstream(file_) << text; }

  const std::string file_ = absl::StrCat(::testing::TempDir(), "/flags_", getpid());
};

TEST_F(FlagCheckTest, SetsWhatIsRight) {
  EXPECT_EQ(Check({"word", "--test_count=5", "-test_verbose", "--test_name", "--odd", "-", "--",
                   "--unknown"}),
            absl::OkStatus());
  EXPECT_EQ(absl::GetFlag(FLAGS_test_count), 5);
  EXPECT_TRUE(absl::GetFlag(FLAGS_test_verbose));
  EXPECT_EQ(absl::GetFlag(FLAGS_test_name), "--odd");
  EXPECT_EQ(Check({"--notest_verbose", "--test_name="}), absl::OkStatus());
  EXPECT_FALSE(absl::GetFlag(FLAGS_test_verbose));
  EXPECT_EQ(absl::GetFlag(FLAGS_test_name), "");
}

TEST_F(FlagCheckTest, NamesWhatIsWrong) {
  struct Case {
    std::vector<std::string> arguments;
    const char* says;
  };
  for (const Case& wrong :
       {Case{{"--unheard_of"}, "unknown flag --unheard_of"},
        Case{{"--unheard_of=1", "--test_count=5"}, "unknown flag --unheard_of"},
        Case{{"-test_cuont=1"}, "unknown flag --test_cuont; did you mean --test_count?"},
        Case{{"--notest_cuont"}, "unknown flag --notest_cuont"},
        Case{{"---test_count=1"}, "unknown flag ---test_count"},
        Case{{"--test_count=many"},
             "--test_count: 'many' is not a value it takes: how many, 1 .. 9"},
        Case{{"--test_count", "--test_verbose"}, "--test_count: '--test_verbose' is not a value"},
        Case{{"--test_wait=30"},
             "--test_wait: '30' is not a value it takes; write its unit, as in 30s or 30ms"},
        Case{{"--test_wait=soon"}, "--test_wait: 'soon' is not a value it takes: how long"},
        Case{{"--test_count="}, "--test_count: '' is not a value it takes"},
        Case{{"--test_count"}, "--test_count needs a value: how many, 1 .. 9"},
        Case{{"--notest_count"}, "--notest_count: --test_count is no switch"},
        Case{{"--notest_verbose=true"},
             "--notest_verbose: --test_verbose turned off takes no value"},
        Case{{"--test_verbose=perhaps"}, "--test_verbose: 'perhaps' is not a value it takes"},
        Case{{"--test_verbose="}, "--test_verbose: '' is not a value it takes"},
        Case{{"--fromenv=test_missing"}, "--fromenv: FLAGS_test_missing is not in the environment"},
        Case{{"--flagfile=/nowhere"},
             "--flagfile: cannot read '/nowhere': No such file or directory"},
        Case{{"--flagfile=/proc/self"}, "--flagfile: cannot read '/proc/self': Is a directory"}}) {
    const absl::Status status = Check(wrong.arguments);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << wrong.says;
    EXPECT_THAT(std::string(status.message()), HasSubstr(wrong.says));
  }
}

TEST_F(FlagCheckTest, TheFlagsForHelpAreNotItsAffair) {
  EXPECT_EQ(Check({"--help", "--helpfull", "--helpon=x", "--version"}), absl::OkStatus());
}

TEST_F(FlagCheckTest, FollowsFlagFiles) {
  WriteFile("# Three.\n\n  --test_count=3  \n--test_verbose\n");
  EXPECT_EQ(Check({"--test_count=5", "--flagfile=" + file_}), absl::OkStatus());
  EXPECT_EQ(absl::GetFlag(FLAGS_test_count), 3);
  EXPECT_EQ(Check({"--flagfile", file_, "--test_count=5"}), absl::OkStatus());
  EXPECT_EQ(absl::GetFlag(FLAGS_test_count), 5);
  for (const auto& [text, says] : std::vector<std::pair<std::string, std::string>>{
           {"--test_count=many", "--test_count: 'many'"},
           {"--unheard_of=1", "unknown flag --unheard_of"},
           {"# One.\n\ntest_count=3", "has in line 3 'test_count=3', which is no flag"},
           {"--flagfile=" + file_, "--flagfile: more than 100 of them"}}) {
    WriteFile(text);
    EXPECT_THAT(std::string(Check({"--flagfile=" + file_}).message()), HasSubstr(says));
  }
}

TEST_F(FlagCheckTest, FollowsTheEnvironment) {
  setenv("FLAGS_test_count", "7", 1);
  EXPECT_EQ(Check({"--fromenv=test_count", "--tryfromenv=test_name"}), absl::OkStatus());
  EXPECT_EQ(absl::GetFlag(FLAGS_test_count), 7);
  setenv("FLAGS_test_count", "seven", 1);
  EXPECT_THAT(std::string(Check({"--tryfromenv=test_count"}).message()),
              HasSubstr("--test_count: 'seven'"));
  unsetenv("FLAGS_test_count");
}

TEST_F(FlagCheckTest, AWordBehindASwitchIsToldOf) {
  std::vector<std::string> text = {"program", "measure", "false"};
  const std::vector<char*> words = {text[0].data(), text[1].data(), text[2].data()};
  EXPECT_EQ(CheckNoMoreWords(words, 3), absl::OkStatus());
  EXPECT_EQ(CheckNoMoreWords(words, 2).message(),
            "unexpected argument \"false\"; flags begin with --, and a switch is turned off by "
            "--noNAME or --NAME=false");
}

TEST_F(FlagCheckTest, PermitsUndefinedFlagsThatAreNamed) {
  EXPECT_EQ(Check({"--unheard_of=1", "--undefok=other,unheard_of"}), absl::OkStatus());
}

TEST_F(FlagCheckTest, ParsingGivesTheRestAndEndsAProgramThatIsToldNonsense) {
  std::string program = "program", word = "word", good = "--test_count=6", bad = "--test_cuont=6";
  std::vector<char*> arguments = {program.data(), good.data(), word.data()};
  EXPECT_THAT(ParseCommandLineOrExit("program", 3, arguments.data()),
              ElementsAre(program.data(), word.data()));
  EXPECT_EQ(absl::GetFlag(FLAGS_test_count), 6);
  arguments[1] = bad.data();
  EXPECT_EXIT(ParseCommandLineOrExit("program", 3, arguments.data()),
              ::testing::ExitedWithCode(kExitWrongCommandLine),
              "^program: unknown flag --test_cuont; did you mean --test_count.\n$");
}

TEST_F(FlagCheckTest, TellsWhatIsAskedForWhateverElseIsWrong) {
  const auto asked = [](const std::vector<std::string>& arguments) {
    return CheckFlagArguments(arguments).value();
  };
  for (const char* help : {"--help", "-help", "-h", "--helpfull", "--helpshort"}) {
    EXPECT_EQ(asked({"--unheard_of", help, "--test_count=many"}), AskedOfFlags::kHelp) << help;
  }
  EXPECT_EQ(asked({"--version"}), AskedOfFlags::kVersion);
  EXPECT_EQ(asked({"--test_name", "--help"}), AskedOfFlags::kNothing) << "it is a value";
  EXPECT_EQ(asked({"--", "--help"}), AskedOfFlags::kNothing);
}

// Ended by a process of its own, whose standard output is ours.
TEST_F(FlagCheckTest, HelpAndVersionEndAProgramWell) {
  std::string program = "program", help = "--help", version = "--version";
  for (std::string* flag : {&help, &version}) {
    std::vector<char*> arguments = {program.data(), flag->data()};
    EXPECT_EXIT(ParseCommandLineOrExit("program", 2, arguments.data()),
                ::testing::ExitedWithCode(0), "^$");
  }
}

TEST(BuildVersionTest, NamesVersionAndCommit) {
  EXPECT_THAT(BuildVersion(), ::testing::ContainsRegex("^[0-9.]+ [(]commit [-0-9a-z]+[)]$"));
}

TEST(FlagHelpTest, ShowsOurFlagsUnderTheirSourcesHeading) {
  absl::SetProgramUsageMessage("tries things.\n  program --test_count=4");
  EXPECT_EQ(FlagHelp(40),
            "tries things.\n"
            "  program --test_count=4\n"
            "\n"
            "Flags may also stand in files, one a\n"
            "line: --flagfile=FILE. --version says\n"
            "version and commit.\n"
            "\n"
            "Flag check test flags:\n"
            "  --test_count=...\n"
            "        how many, 1 .. 9 (default 4)\n"
            "  --test_name=...\n"
            "        of what\n"
            "  --[no]test_verbose\n"
            "        say more (default false)\n"
            "  --test_wait=...\n"
            "        how long (default 1s)\n");
}

TEST(CommandByFlagsTest, HasWhatIsNotItsDefaultQuotedForAShell) {
  const absl::FlagSaver saver;
  absl::SetFlag(&FLAGS_test_verbose, false);
  absl::SetFlag(&FLAGS_test_name, "");
  absl::SetFlag(&FLAGS_test_count, 4);
  EXPECT_EQ(CommandByFlags("program"), "program");
  absl::SetFlag(&FLAGS_test_verbose, true);
  absl::SetFlag(&FLAGS_test_name, "Ankle boot's");
  absl::SetFlag(&FLAGS_test_count, 5);
  EXPECT_EQ(CommandByFlags("program"),
            "program --test_count=5 --test_name='Ankle boot'\\''s' --test_verbose");
}

}  // namespace
}  // namespace diffusiond
