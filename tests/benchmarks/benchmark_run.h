// What benchmarks share: --quick, the processor's name above the numbers, and an end that says why.
#ifndef DIFFUSIOND_TESTS_BENCHMARKS_BENCHMARK_RUN_H_
#define DIFFUSIOND_TESTS_BENCHMARKS_BENCHMARK_RUN_H_

#include <string>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/strings/string_view.h"

// Every part, as short as it can be: tests run it, so that a benchmark goes on working. Its numbers
// mean nothing.
ABSL_DECLARE_FLAG(bool, quick);

namespace diffusiond {

// Parses the command line; returns its arguments that are no flags.
std::vector<std::string> ParseBenchmarkFlags(int argc, char** argv);

// `full`, or with --quick `quick`.
int FullOrQuick(int full, int quick);

// Which processor, and how many cores of it: without it a number says little.
void PrintProcessor();

// Ends the program as failed. A run in which nothing succeeded has no numbers to print.
[[noreturn]] void FailBenchmark(absl::string_view why);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_BENCHMARKS_BENCHMARK_RUN_H_
