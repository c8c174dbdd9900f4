// SHA-256 (FIPS 180-4), through OpenSSL.
#ifndef DIFFUSIOND_MODEL_FILES_SHA256_H_
#define DIFFUSIOND_MODEL_FILES_SHA256_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "absl/strings/string_view.h"

namespace diffusiond {

// Digest of bytes that come in pieces. Thread-compatible.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(std::span<const std::byte> bytes);
  void Update(absl::string_view bytes);

  // 64 lower-case hexadecimal digits. Call once; nothing may follow.
  std::string FinishHex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Hex(std::span<const std::byte> bytes);
std::string Sha256Hex(absl::string_view bytes);

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_FILES_SHA256_H_
