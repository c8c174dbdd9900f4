// Certificates for tests, made by openssl(1) as an operator would make them.
#ifndef DIFFUSIOND_TESTS_TESTING_TEST_CERTIFICATES_H_
#define DIFFUSIOND_TESTS_TESTING_TEST_CERTIFICATES_H_

#include <filesystem>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace diffusiond {

// Works in a directory of its own, which goes with it. Thread-compatible.
class TestCertificates {
 public:
  // PEM.
  struct Pair {
    std::string certificate;
    std::string key;
  };
  struct Subject {
    std::string common_name = {};
    std::string names = {};  // Subject alternative names: "DNS:a,URI:spiffe://b/c"; empty: none.
    absl::Time from = absl::Now() - absl::Hours(1);
    absl::Time until = absl::Now() + absl::Hours(24);
  };

  TestCertificates();
  ~TestCertificates();
  TestCertificates(const TestCertificates&) = delete;
  TestCertificates& operator=(const TestCertificates&) = delete;

  Pair MakeAuthority(const std::string& common_name);
  Pair Issue(const Pair& authority, const Subject& subject);
  // For a server at 127.0.0.1.
  Pair IssueForLoopback(const Pair& authority);

  const std::filesystem::path& directory() const { return directory_; }
  // Writes a file of the directory, whole or not at all; its path.
  std::string Write(const std::string& name, const std::string& text) const;

 private:
  std::string Path(const std::string& name) const { return directory_ / name; }

  std::filesystem::path directory_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_TESTING_TEST_CERTIFICATES_H_
