#include "server/logging/access_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/model/checkpoint/scratch_directory.h"
#include "tests/testing/fake_clock.h"

namespace diffusiond {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string TextOf(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

LogRecord Call(int number) { return LogRecord(LogLevel::kInfo, "call").Add("number", number); }

class AccessLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<AccessLog> Open(int max_queued = 100000,
                                  absl::Duration last_words = absl::Hours(1)) {
    auto log = AccessLog::Open({.path = path_,
                                .max_queued = max_queued,
                                .last_words = last_words,
                                .now = clock_.AsFunction(),
                                .on_lost =
                                    [this](const std::string& why, int lines) {
                                      absl::MutexLock lock(&mu_);
                                      lost_[why] += lines;
                                    },
                                .log =
                                    [this](const LogRecord& record) {
                                      absl::MutexLock lock(&mu_);
                                      told_.push_back(record.Text());
                                    }});
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }

  std::map<std::string, int> lost() {
    absl::MutexLock lock(&mu_);
    return lost_;
  }
  std::vector<std::string> told() {
    absl::MutexLock lock(&mu_);
    return told_;
  }

  ScratchDirectory directory_;
  std::string path_ = directory_.path() / "calls";
  FakeClock clock_;
  absl::Mutex mu_;
  std::map<std::string, int> lost_;
  std::vector<std::string> told_;
};

TEST_F(AccessLogTest, AppendsALineOfJsonForEachCall) {
  std::ofstream(path_) << "before\n";
  auto log = Open();
  log->Write(Call(1));
  log->Write(Call(2));
  log->Flush();
  EXPECT_EQ(TextOf(path_),
            "before\n"
            R"({"time":"2023-11-14T22:13:20.000Z","level":"INFO","event":"call","number":1})"
            "\n"
            R"({"time":"2023-11-14T22:13:20.000Z","level":"INFO","event":"call","number":2})"
            "\n");
  log->Write(Call(3));
  log.reset();
  EXPECT_THAT(TextOf(path_), HasSubstr("\"number\":3}\n"));
}

TEST_F(AccessLogTest, KeepsLinesWholeWhoeverWrites) {
  constexpr int kThreads = 4, kLines = 500;
  auto log = Open();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kLines; ++i) log->Write(Call(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  log.reset();
  int sum = 0;
  const std::string text = TextOf(path_);
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  ASSERT_THAT(lines, SizeIs(kThreads * kLines));
  for (const std::string& line : lines) sum += nlohmann::json::parse(line)["number"].get<int>();
  EXPECT_EQ(sum, kThreads * kLines * (kLines - 1) / 2);
  EXPECT_TRUE(lost().empty());
}

TEST_F(AccessLogTest, FollowsItsPathWhenTheFileIsRenamedOrRemoved) {
  auto log = Open();
  log->Write(Call(1));
  log->Flush();
  std::filesystem::rename(path_, path_ + ".1");
  log->Write(Call(2));
  log->Flush();
  std::filesystem::remove(path_);
  log->Write(Call(3));
  log->Flush();
  EXPECT_THAT(TextOf(path_ + ".1"), HasSubstr("\"number\":1}"));
  EXPECT_THAT(TextOf(path_), HasSubstr("\"number\":3}"));
  EXPECT_EQ(TextOf(path_).find("\"number\":2}"), std::string::npos);
}

TEST_F(AccessLogTest, LeavesOutAndCountsWhatFindsTooManyWaiting) {
  // A pipe without room holds the writing thread; what is in its hands counts as waiting.
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const int reader = open(path_.c_str(), O_RDONLY | O_NONBLOCK);
  const int filler = open(path_.c_str(), O_WRONLY | O_NONBLOCK);
  const std::string junk(4096, '.');
  size_t filled = 0;
  while (write(filler, junk.data(), junk.size()) > 0) filled += junk.size();
  auto log = Open(/*max_queued=*/3);
  for (int i = 0; i < 5; ++i) log->Write(Call(i));
  EXPECT_EQ(lost(), (std::map<std::string, int>{{"queue", 2}}));
  // Room again.
  std::string read_back;
  std::thread drain([&] {
    std::string buffer(1 << 16, ' ');
    while (read_back.find("\"number\":2}\n") == std::string::npos) {
      const ssize_t count = read(reader, buffer.data(), buffer.size());
      if (count > 0) read_back.append(buffer.data(), static_cast<size_t>(count));
    }
  });
  drain.join();
  log->Flush();
  EXPECT_EQ(lost(), (std::map<std::string, int>{{"queue", 2}}));
  log.reset();
  close(reader);
  close(filler);
}

// A pipe at `path`, full but for `room` bytes.
class FullPipe {
 public:
  FullPipe(const std::string& path, size_t room) {
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    reader_ = open(path.c_str(), O_RDONLY | O_NONBLOCK);
    const int filler = open(path.c_str(), O_WRONLY | O_NONBLOCK);
    const std::string junk(4096, '.');
    while (write(filler, junk.data(), junk.size()) > 0) {
    }
    close(filler);
    std::string taken(room, ' ');
    EXPECT_EQ(read(reader_, taken.data(), room), static_cast<ssize_t>(room));
  }
  ~FullPipe() { close(reader_); }

  // What is in it, without what it was filled with.
  std::string Rest() const {
    std::string text(1 << 20, ' ');
    text.resize(static_cast<size_t>(std::max<ssize_t>(0, read(reader_, text.data(), text.size()))));
    return text.substr(std::min(text.find_first_not_of('.'), text.size()));
  }

 private:
  int reader_ = -1;
};

TEST_F(AccessLogTest, EndsThoughNobodyReadsAndCountsWhatIsLost) {
  const FullPipe pipe(path_, 0);
  auto log = Open(/*max_queued=*/3, /*last_words=*/absl::ZeroDuration());
  for (int i = 0; i < 5; ++i) log->Write(Call(i));
  log.reset();
  EXPECT_EQ(lost(), (std::map<std::string, int>{{"queue", 2}, {"write", 3}}));
  EXPECT_THAT(told(), ElementsAre(HasSubstr("access log state=ended lines_lost=3")));
  EXPECT_EQ(pipe.Rest(), "");
}

TEST_F(AccessLogTest, WritesWholeLinesWhereThereIsRoomForSome) {
  constexpr int kLines = 200;
  const FullPipe pipe(path_, 2 * 4096);
  auto log = Open(kLines, /*last_words=*/absl::Milliseconds(1));
  for (int i = 0; i < kLines; ++i) log->Write(Call(i));
  log.reset();
  const std::vector<std::string> lines = absl::StrSplit(pipe.Rest(), '\n', absl::SkipEmpty());
  for (const std::string& line : lines) {
    EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  }
  EXPECT_EQ(lost()["write"] + static_cast<int>(lines.size()), kLines);
  EXPECT_GT(lost()["write"], 0);
}

TEST_F(AccessLogTest, CountsWhatAFullDiskTakesNotAndTellsOnce) {
  path_ = "/dev/full";
  auto log = Open();
  for (int i = 0; i < 3; ++i) {
    log->Write(Call(i));
    log->Flush();
  }
  EXPECT_EQ(lost(), (std::map<std::string, int>{{"write", 3}}));
  EXPECT_THAT(told(), ElementsAre(HasSubstr("access log state=failing error=\"/dev/full cannot be "
                                            "written: No space left on device\"")));
}

TEST_F(AccessLogTest, DoesNotOpenWhatCannotBeAppendedTo) {
  const auto log = AccessLog::Open({.path = directory_.path()});
  EXPECT_EQ(log.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(log.status().message(), HasSubstr("cannot be appended to: Is a directory"));
}

}  // namespace
}  // namespace diffusiond
