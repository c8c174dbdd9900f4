#include "model/files/sha256.h"

#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace diffusiond {
namespace {

// OpenSSL's digest calls fail only when memory is out or SHA-256 itself was disabled; neither
// leaves anything sensible to do.
void Require(bool ok) {
  if (ok) return;
  std::fputs("SHA-256 is not available from OpenSSL\n", stderr);
  std::abort();
}

}  // namespace

struct Sha256::State {
  State() : context(EVP_MD_CTX_new()) {
    Require(context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1);
  }
  ~State() { EVP_MD_CTX_free(context); }
  EVP_MD_CTX* context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(std::span<const std::byte> bytes) {
  Require(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

void Sha256::Update(absl::string_view bytes) {
  Update(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

std::string Sha256::FinishHex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  Require(EVP_DigestFinal_ex(state_->context, digest, &size) == 1);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest), size});
}

std::string Sha256Hex(std::span<const std::byte> bytes) {
  Sha256 sha;
  sha.Update(bytes);
  return sha.FinishHex();
}

std::string Sha256Hex(absl::string_view bytes) {
  return Sha256Hex(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

}  // namespace diffusiond
