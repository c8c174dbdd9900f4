#include "tests/benchmarks/benchmark_run.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

ABSL_FLAG(bool, quick, false, "every part, as short as it can be; the numbers mean nothing");

namespace diffusiond {

std::vector<std::string> ParseBenchmarkFlags(int argc, char** argv) {
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  return {rest.begin() + 1, rest.end()};
}

int FullOrQuick(int full, int quick) { return absl::GetFlag(FLAGS_quick) ? quick : full; }

void PrintProcessor() {
  std::ifstream file("/proc/cpuinfo");
  std::string name = "unknown processor";
  for (std::string line; std::getline(file, line);) {
    if (!absl::StartsWith(line, "model name")) continue;
    name = std::string(absl::StripAsciiWhitespace(line.substr(line.find(':') + 1)));
    break;
  }
  std::printf("%s, %u cores%s\n", name.c_str(), std::thread::hardware_concurrency(),
              absl::GetFlag(FLAGS_quick) ? "; --quick: the numbers mean nothing" : "");
  std::fflush(stdout);  // Before children are started, which would print it again.
}

void FailBenchmark(absl::string_view why) {
  std::fflush(stdout);
  std::fprintf(stderr, "failed: %s\n", std::string(why).c_str());
  std::exit(1);
}

}  // namespace diffusiond
