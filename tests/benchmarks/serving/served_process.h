// The real server in a process of its own, with the policy that is to be measured.
#ifndef DIFFUSIOND_TESTS_BENCHMARKS_SERVING_SERVED_PROCESS_H_
#define DIFFUSIOND_TESTS_BENCHMARKS_SERVING_SERVED_PROCESS_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/testing/child_process.h"

namespace diffusiond {

// "step": ours. "request": whole requests batched and run to their end. "serial": one at a time.
// The child's part: serves until SIGTERM, and returns the exit code.
int ServeUntilTerminated(const std::string& mode, const std::string& model_repository);

// The parent's part. Ends with the object.
class ServedProcess {
 public:
  // `program` is this benchmark, which runs ServeUntilTerminated for --serve=MODE.
  ServedProcess(const std::string& program, const std::string& mode,
                const std::vector<std::string>& flags);
  ~ServedProcess();

  const std::string& address() const { return address_; }

  // The sum of all series of a metric, for example "diffusiond_step_duration_seconds_sum".
  double Metric(const std::string& name) const;
  // The least bound of a histogram's bucket with this part of its counts.
  double Quantile(const std::string& histogram, double q) const;

 private:
  std::string Scrape() const;

  std::unique_ptr<ChildProcess> process_;
  std::string address_;
  std::string metrics_address_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_BENCHMARKS_SERVING_SERVED_PROCESS_H_
