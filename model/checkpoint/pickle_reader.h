// The bytes of a pickle, from the front.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_PICKLE_READER_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_PICKLE_READER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "absl/strings/string_view.h"

namespace diffusiond {

// Takes nothing where less is left than is asked for. Thread-compatible.
class PickleReader {
 public:
  explicit PickleReader(std::span<const std::byte> pickle) : all_(pickle), rest_(pickle) {}

  size_t position() const { return all_.size() - rest_.size(); }
  size_t left() const { return rest_.size(); }

  // A little-endian number, or an opcode.
  template <typename T>
  bool Take(T* value) {
    if (rest_.size() < sizeof(T)) return false;
    std::memcpy(value, rest_.data(), sizeof(T));
    rest_ = rest_.subspan(sizeof(T));
    return true;
  }

  // The text lives as long as the pickle.
  std::optional<absl::string_view> TakeText(uint64_t size) {
    if (rest_.size() < size) return std::nullopt;
    const absl::string_view text = Rest().substr(0, size);
    rest_ = rest_.subspan(size);
    return text;
  }

  // Up to a newline, which is taken and left out.
  std::optional<absl::string_view> TakeLine() {
    const size_t newline = Rest().find('\n');
    if (newline == absl::string_view::npos) return std::nullopt;
    const absl::string_view line = Rest().substr(0, newline);
    rest_ = rest_.subspan(newline + 1);
    return line;
  }

 private:
  absl::string_view Rest() const {
    return {reinterpret_cast<const char*>(rest_.data()), rest_.size()};
  }

  std::span<const std::byte> all_, rest_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_PICKLE_READER_H_
