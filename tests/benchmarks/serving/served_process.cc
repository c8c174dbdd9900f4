#include "tests/benchmarks/serving/served_process.h"

#include <netdb.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/diffusiond.h"
#include "server/shutdown_signal.h"
#include "tests/benchmarks/baseline_policies.h"

namespace diffusiond {
namespace {

// What Triton's documentation suggests to begin with is some milliseconds; a step takes as long.
constexpr absl::Duration kQueueDelay = absl::Milliseconds(10);

std::function<std::unique_ptr<SchedulingPolicy>()> PolicyOf(const std::string& mode) {
  if (mode == "request") return [] { return std::make_unique<RequestBatchPolicy>(kQueueDelay); };
  if (mode == "serial") return [] { return std::make_unique<SerialPolicy>(); };
  return nullptr;
}

}  // namespace

int ServeUntilTerminated(const std::string& mode, const std::string& model_repository) {
  // Ends with the benchmark, also one that is killed.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  ShutdownSignal shutdown;
  ServerFlags flags;
  flags.model_repository = model_repository;
  flags.listen = "127.0.0.1:0";
  flags.metrics_listen = "127.0.0.1:0";
  flags.http_listen = "";
  flags.max_queued_images = 4096;
  ParsedFlags parsed;
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  for (const std::string& fault : CheckFlags(flags, cores, &parsed)) {
    std::fprintf(stderr, "%s\n", fault.c_str());
    return 2;
  }
  Diffusiond server({.flags = flags,
                     .parsed = std::move(parsed),
                     .make_policy = PolicyOf(mode),
                     .log = [](const LogRecord&) {}});
  if (absl::Status status = server.Start(); !status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 1;
  }
  std::printf("listening %s %s\n", server.grpc_address().c_str(), server.metrics_address().c_str());
  std::fflush(stdout);
  shutdown.Expect();
  shutdown.Await();
  // What still runs is not worth waiting for.
  std::_Exit(0);
}

ServedProcess::ServedProcess(const std::string& program, const std::string& mode,
                             const std::vector<std::string>& flags) {
  std::vector<std::string> arguments = {program, absl::StrCat("--serve=", mode)};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  process_ = std::make_unique<ChildProcess>(arguments);
  while (std::optional<std::string> line = process_->ReadLine()) {
    const std::vector<std::string> words = absl::StrSplit(absl::StripAsciiWhitespace(*line), ' ');
    if (words.size() != 3 || words[0] != "listening") continue;
    address_ = words[1];
    metrics_address_ = words[2];
    return;
  }
  std::fprintf(stderr, "the server does not start:\n%s", process_->output().c_str());
  std::exit(1);
}

ServedProcess::~ServedProcess() {
  process_->Signal(SIGTERM);
  process_->Wait();
}

std::string ServedProcess::Scrape() const {
  const std::pair<std::string, std::string> host_port =
      absl::StrSplit(metrics_address_, absl::MaxSplits(':', 1));
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host_port.first.c_str(), host_port.second.c_str(), &hints, &found) != 0)
    return "";
  const int fd = socket(found->ai_family, found->ai_socktype, 0);
  const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
  std::string text;
  if (connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
      write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
    char buffer[1 << 16];
    for (ssize_t size; (size = read(fd, buffer, sizeof(buffer))) > 0;) text.append(buffer, size);
  }
  close(fd);
  freeaddrinfo(found);
  return text;
}

double ServedProcess::Metric(const std::string& name) const {
  double sum = 0;
  for (const absl::string_view line : absl::StrSplit(Scrape(), '\n')) {
    if (!absl::StartsWith(line, name)) continue;
    if (line.size() <= name.size() || (line[name.size()] != '{' && line[name.size()] != ' '))
      continue;
    double value = 0;
    if (absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) sum += value;
  }
  return sum;
}

double ServedProcess::Quantile(const std::string& histogram, double q) const {
  const std::string bucket = absl::StrCat(histogram, "_bucket{le=\"");
  const std::string text = Scrape();
  std::vector<std::pair<double, double>> bounds;  // Bound, cumulated count.
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(line, bucket)) continue;
    const absl::string_view rest = line.substr(bucket.size());
    double bound = 0, count = 0;
    if (!absl::SimpleAtod(rest.substr(0, rest.find('"')), &bound)) continue;
    if (absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &count))
      bounds.emplace_back(bound, count);
  }
  std::sort(bounds.begin(), bounds.end());
  for (const auto& [bound, count] : bounds) {
    if (count >= q * bounds.back().second) return bound;
  }
  return 0;
}

}  // namespace diffusiond
