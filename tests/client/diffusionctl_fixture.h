// A folder for what a command writes, a server in this process, and a terminal.
#ifndef DIFFUSIOND_TESTS_CLIENT_DIFFUSIONCTL_FIXTURE_H_
#define DIFFUSIOND_TESTS_CLIENT_DIFFUSIONCTL_FIXTURE_H_

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/reflection.h"
#include "absl/time/clock.h"
#include "client/commands/commands.h"
#include "gtest/gtest.h"
#include "tests/client/fake_diffusion_service.h"

namespace diffusiond {

class DiffusionctlTest : public testing::Test {
 protected:
  DiffusionctlTest() {
    directory_ = std::filesystem::path(testing::TempDir()) /
                 (std::string("diffusionctl_") +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
  }
  ~DiffusionctlTest() override { std::filesystem::remove_all(directory_); }

  void Serve(FakeAnswers answers) {
    server_.reset();
    server_ = std::make_unique<FakeDiffusionServer>(std::move(answers));
  }

  // Runs with --server set to the server, if there is one.
  int Run(std::vector<std::string> arguments) {
    const absl::FlagSaver saver;
    out_.str("");
    err_.str("");
    cancellation_ = Cancellation::Create().value();
    if (server_ != nullptr) arguments.push_back("--server=" + server_->target());
    CommandContext context{.out = &out_,
                           .err = &err_,
                           .cancellation = cancellation_.get(),
                           .terminal =
                               [this] {
                                 if (on_terminal_) on_terminal_();
                                 return terminal_;
                               },
                           .now = now_};
    return RunDiffusionctl(arguments, context);
  }

  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    if (!std::filesystem::exists(directory_)) return names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  std::string Contents(const std::string& name) const {
    std::ifstream file(directory_ / name, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::filesystem::path directory_;
  std::unique_ptr<FakeDiffusionServer> server_;
  std::unique_ptr<Cancellation> cancellation_;
  Terminal terminal_;
  std::function<absl::Time()> now_ = absl::Now;
  std::function<void()> on_terminal_;  // Called for each frame.
  std::ostringstream out_;
  std::ostringstream err_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_CLIENT_DIFFUSIONCTL_FIXTURE_H_
