// A program run by a test: its output line by line, signals to it, its end.
#ifndef DIFFUSIOND_TESTS_TESTING_CHILD_PROCESS_H_
#define DIFFUSIOND_TESTS_TESTING_CHILD_PROCESS_H_

#include <sys/types.h>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

namespace diffusiond {

// Standard output and error are one stream. The destructor kills what still runs.
class ChildProcess {
 public:
  // arguments[0] is the program's path.
  explicit ChildProcess(const std::vector<std::string>& arguments);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Blocks for the next line; nullopt: the output has ended.
  std::optional<std::string> ReadLine();
  // Reads until a line contains `text`; false: the output ended first. What was read is in
  // output().
  bool ReadUntil(const std::string& text);
  void Signal(int signal);
  // Reads the rest of the output and waits. The exit code, or -signal.
  int Wait();

  const std::string& output() const { return output_; }

 private:
  pid_t pid_ = -1;
  std::FILE* stream_ = nullptr;
  std::string output_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_CHILD_PROCESS_H_
