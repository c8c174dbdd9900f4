// `diffusionctl load` as a person types it, against a server in this process.
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/flags/reflection.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/commands/commands.h"
#include "client/commands/load_progress.h"
#include "client/load/load_tables.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_diffusion_service.h"

namespace diffusiond {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class LoadCommandTest : public testing::Test {
 protected:
  LoadCommandTest() : cancellation_(Cancellation::Create().value()) {
    directory_ = fs::path(testing::TempDir()) /
                 (std::string("load_command_") +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(directory_);
  }
  ~LoadCommandTest() override { fs::remove_all(directory_); }

  // `load` with these flags, on the server if there is one.
  int Run(std::vector<std::string> arguments) {
    const absl::FlagSaver saver;
    out_.str("");
    err_.str("");
    arguments.insert(arguments.begin(), "load");
    if (server_ != nullptr) arguments.push_back("--server=" + server_->target());
    CommandContext context{.out = &out_,
                           .err = &err_,
                           .cancellation = cancellation_.get(),
                           .terminal = [this] { return terminal_; },
                           .now = absl::Now};
    return RunDiffusionctl(arguments, context);
  }

  void Serve(FakeAnswers answers) {
    server_ = std::make_unique<FakeDiffusionServer>(std::move(answers));
  }

  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  std::string Contents(const std::string& name) const {
    std::ifstream file(directory_ / name, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  fs::path directory_;
  const std::unique_ptr<Cancellation> cancellation_;
  std::unique_ptr<FakeDiffusionServer> server_;
  Terminal terminal_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(LoadCommandTest, SendsReportsAndSaves) {
  Serve({.events = TinyStream(1, 2)});
  ASSERT_EQ(Run({"--rate=1000", "--requests=30", "--mix=short steps=2; long weight=0.5 steps=4",
                 "--seed=3", "--label=a try", "--csv=" + Path("r.csv"), "--plot=" + Path("r.svg"),
                 "--save_trace=" + Path("t.csv")}),
            kExitOk)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("\na try\n"));
  EXPECT_THAT(out_.str(), HasSubstr("all       30       30    30"));
  EXPECT_THAT(out_.str(), HasSubstr("seed 3;"));
  EXPECT_THAT(out_.str(), HasSubstr(Path("r.csv")));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(err_.str(), IsEmpty());
  const std::string csv = Contents("r.csv");
  EXPECT_THAT(csv, StartsWith(kLoadCsvHeader));
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(csv, '\n')).size(), 32u);
  EXPECT_THAT(Contents("r.svg"), HasSubstr("id=\"points-long\""));
  EXPECT_EQ(server_->calls().size(), 30u);

  // The same again, from its trace.
  ASSERT_EQ(Run({"--arrivals=trace:" + Path("t.csv"), "--mix=short; long",
                 "--save_trace=" + Path("again.csv")}),
            kExitOk)
      << err_.str();
  EXPECT_EQ(Contents("again.csv"), Contents("t.csv"));
}

TEST_F(LoadCommandTest, TheTenantFlagIsForEntriesWithoutOne) {
  Serve({.events = TinyStream(1, 1)});
  ASSERT_EQ(Run({"--rate=1000", "--requests=20", "--tenant=studio",
                 "--mix=a steps=1; b steps=2 tenant=guest", "--seed=1"}),
            kExitOk)
      << err_.str();
  for (const FakeCall& call : server_->calls()) {
    EXPECT_EQ(call.tenant, call.request.sampling().steps() == 2 ? "guest" : "studio");
  }
}

TEST_F(LoadCommandTest, TheDeadlineFlagIsForEntriesWithoutOne) {
  Serve({.events = TinyStream(1, 1)});
  const absl::Time before = absl::Now();
  ASSERT_EQ(Run({"--arrivals=uniform", "--rate=1000", "--requests=20", "--deadline=1h",
                 "--mix=a steps=1; b steps=2 deadline=3h", "--seed=1"}),
            kExitOk)
      << err_.str();
  for (const FakeCall& call : server_->calls()) {
    const absl::Duration left = call.deadline - before;
    EXPECT_EQ(left > absl::Hours(2), call.request.sampling().steps() == 2) << left;
    EXPECT_LT(left, absl::Hours(4));
  }
}

TEST_F(LoadCommandTest, RefusalsAreAnAnswer) {
  Serve({.status = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full")});
  EXPECT_EQ(Run({"--rate=1000", "--requests=3"}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("plain     3        3     0   3"));
}

TEST_F(LoadCommandTest, FailuresAreCountedAndTheFirstTold) {
  Serve({.status = grpc::Status(grpc::StatusCode::INTERNAL, "NaN at timestep 3")});
  EXPECT_EQ(Run({"--rate=1000", "--requests=3"}), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("3 of 3 calls failed"));
  EXPECT_THAT(err_.str(), HasSubstr("INTERNAL: NaN at timestep 3"));
  EXPECT_THAT(out_.str(), HasSubstr("FAILED"));
}

TEST_F(LoadCommandTest, NoServerEndsWith1AndAdvice) {
  EXPECT_EQ(Run({"--rate=1", "--requests=1", "--server=127.0.0.1:1"}), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("Is it running?"));
}

TEST_F(LoadCommandTest, AFileThatCannotBeWrittenEndsWith1) {
  Serve({.events = TinyStream(1, 1)});
  EXPECT_EQ(Run({"--rate=1000", "--requests=1", "--csv=/proc/nowhere/r.csv"}), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("--csv: cannot make the directory /proc/nowhere"));
  EXPECT_EQ(Run({"--rate=1000", "--requests=1", "--plot=/proc/p.svg"}), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("--plot: cannot write into the directory /proc"));
  EXPECT_TRUE(server_->calls().empty()) << "something was measured that nobody gets";
}

TEST_F(LoadCommandTest, WrongUsageEndsWith2) {
  const std::pair<std::vector<std::string>, const char*> faults[] = {
      {{}, "--rate=R is needed"},
      {{"--rate=fast"}, "'fast'"},
      {{"--rate=0"}, "--rate=0, expected"},
      {{"--rate=1", "--duration=0"}, "'0'"},
      {{"--rate=1", "--duration=1h", "--requests=5"}, "--duration and --requests are both given"},
      {{"--rate=1", "--requests=0"}, "expected 1 .. 1000000"},
      {{"--rate=1", "--mix=a steps=no"}, "mix entry 'a': steps='no'"},
      {{"--rate=1", "--arrivals=burst:0"}, "burst:N"},
      {{"--rate=1", "--arrivals=trace:/tmp/x"}, "--rate is given, but the times"},
      {{"--rate=1", "--channels=0"}, "--channels=0, expected 1 .. 64"},
      {{"--rate=1", "--max_in_flight=0"}, "--max_in_flight=0"},
      {{"--rate=1", "--label=a\nb"}, "--label: expected one line"},
      {{"--rate=1", "extra"}, "'extra'"},
      {{"--rate=1", "--tenant=h\xc3\xa4ns"}, "--tenant is \"h\xc3\xa4ns\", expected at most"},
  };
  for (const auto& [arguments, says] : faults) {
    EXPECT_EQ(Run(arguments), kExitUsage) << says;
    EXPECT_THAT(err_.str(), HasSubstr(says));
  }
}

TEST_F(LoadCommandTest, ShowsProgressInOneLineOnATerminal) {
  terminal_.interactive = true;
  terminal_.columns = 30;
  Serve({.events = TinyStream(1, 1)});
  ASSERT_EQ(Run({"--rate=1000", "--requests=3"}), kExitOk) << err_.str();
  EXPECT_THAT(err_.str(), StartsWith("\r\x1b[K0.0 s: 0 of 3 sent, 0 in flig\r\x1b[K"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b"))) << "it may be a file's";
  EXPECT_THAT(out_.str(), HasSubstr("REQUESTS"));
}

TEST(LoadProgressPrinterTest, PrintsALineEveryTenSecondsElsewhere) {
  std::ostringstream out;
  {
    LoadProgressPrinter printer(Terminal(), &out);
    for (int second = 0; second <= 25; ++second) {
      printer.Print(
          {.elapsed = absl::Seconds(second), .planned = 50, .sent = second, .not_sent = 2});
    }
  }
  EXPECT_EQ(out.str(),
            "10.0 s: 10 of 50 sent, 0 in flight, 0 ok, 0 refused, 0 otherwise, 2 NOT SENT\n"
            "20.0 s: 20 of 50 sent, 0 in flight, 0 ok, 0 refused, 0 otherwise, 2 NOT SENT\n");
}

}  // namespace
}  // namespace diffusiond
