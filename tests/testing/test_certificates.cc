#include "tests/testing/test_certificates.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/child_process.h"

namespace diffusiond {
namespace {

// What openssl(1) asks of its configuration; the machine's own may say anything.
constexpr char kConfiguration[] = R"([req]
distinguished_name = names
[names]
[ca]
default_ca = test
[test]
database = index.txt
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
rand_serial = yes
email_in_dn = no
copy_extensions = copy
[any]
commonName = optional
)";

std::string Read(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void Run(const std::filesystem::path& directory, std::vector<std::string> arguments) {
  // env(1) looks for the program and changes the directory.
  arguments.insert(arguments.begin(),
                   {"/usr/bin/env", absl::StrCat("--chdir=", directory.string()), "openssl"});
  ChildProcess openssl(arguments);
  const int status = openssl.Wait();
  ASSERT_EQ(status, 0) << openssl.output();
}

std::string Timestamp(absl::Time time) {
  return absl::FormatTime("%Y%m%d%H%M%SZ", time, absl::UTCTimeZone());
}

}  // namespace

TestCertificates::TestCertificates() {
  std::string name = std::filesystem::temp_directory_path() / "certificates-XXXXXX";
  directory_ = mkdtemp(name.data());
  Write("openssl.cnf", kConfiguration);
  Write("index.txt", "");
}

TestCertificates::~TestCertificates() { std::filesystem::remove_all(directory_); }

std::string TestCertificates::Write(const std::string& name, const std::string& text) const {
  const std::string half = Path(name + ".half");
  std::ofstream(half, std::ios::binary) << text;
  std::filesystem::rename(half, Path(name));
  return Path(name);
}

TestCertificates::Pair TestCertificates::MakeAuthority(const std::string& common_name) {
  Run(directory_,
      {"req", "-x509", "-config", "openssl.cnf", "-newkey", "ec", "-pkeyopt",
       "ec_paramgen_curve:P-256", "-nodes", "-keyout", "new.key", "-out", "new.crt", "-days", "2",
       "-subj", "/CN=" + common_name, "-addext", "basicConstraints=critical,CA:TRUE"});
  return {.certificate = Read(Path("new.crt")), .key = Read(Path("new.key"))};
}

TestCertificates::Pair TestCertificates::Issue(const Pair& authority, const Subject& subject) {
  Write("ca.crt", authority.certificate);
  Write("ca.key", authority.key);
  std::vector<std::string> request = {"req",
                                      "-new",
                                      "-config",
                                      "openssl.cnf",
                                      "-newkey",
                                      "ec",
                                      "-pkeyopt",
                                      "ec_paramgen_curve:P-256",
                                      "-nodes",
                                      "-keyout",
                                      "new.key",
                                      "-out",
                                      "new.csr",
                                      "-subj",
                                      "/CN=" + subject.common_name};
  if (!subject.names.empty()) {
    request.insert(request.end(), {"-addext", "subjectAltName=" + subject.names});
  }
  Run(directory_, request);
  Run(directory_, {"ca", "-batch", "-config", "openssl.cnf", "-notext", "-cert", "ca.crt",
                   "-keyfile", "ca.key", "-in", "new.csr", "-out", "new.crt", "-startdate",
                   Timestamp(subject.from), "-enddate", Timestamp(subject.until)});
  return {.certificate = Read(Path("new.crt")), .key = Read(Path("new.key"))};
}

TestCertificates::Pair TestCertificates::IssueForLoopback(const Pair& authority) {
  return Issue(authority, {.common_name = "server", .names = "IP:127.0.0.1,DNS:localhost"});
}

}  // namespace diffusiond
