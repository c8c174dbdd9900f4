#include "model/training/progress/tensorboard_log.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "model/files/file_status.h"
#include "model/imaging/png.h"

namespace diffusiond {
namespace {

constexpr std::array<uint32_t, 256> Crc32cTable() {
  std::array<uint32_t, 256> table = {};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0x82F63B78u : 0u);
    table[i] = value;
  }
  return table;
}

template <typename T>
void AppendLittleEndian(T value, std::string* out) {
  for (size_t i = 0; i < sizeof(T); ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

uint32_t MaskedCrc(absl::string_view bytes) { return std::rotr(Crc32c(bytes), 15) + 0xA282EAD8u; }

// Protobuf's wire format.
enum WireType { kVarint = 0, k64Bit = 1, kBytes = 2, k32Bit = 5 };

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

void AppendTag(int field, WireType type, std::string* out) {
  AppendVarint(static_cast<uint64_t>(field) << 3 | type, out);
}

void AppendInt(int field, int64_t value, std::string* out) {
  AppendTag(field, kVarint, out);
  AppendVarint(static_cast<uint64_t>(value), out);
}

void AppendBytes(int field, absl::string_view bytes, std::string* out) {
  AppendTag(field, kBytes, out);
  AppendVarint(bytes.size(), out);
  absl::StrAppend(out, bytes);
}

// Field numbers are those of the .proto files that the header names.
std::string EventAt(absl::Time time, int64_t step) {
  std::string event;
  AppendTag(1, k64Bit, &event);  // wall_time, a double.
  const double seconds = absl::ToDoubleSeconds(time - absl::UnixEpoch());
  AppendLittleEndian(std::bit_cast<uint64_t>(seconds), &event);
  AppendInt(2, step, &event);
  return event;
}

void AppendScalar(absl::string_view tag, double value, std::string* summary) {
  std::string entry;
  AppendBytes(1, tag, &entry);
  AppendTag(2, k32Bit, &entry);  // simple_value, a float.
  AppendLittleEndian(std::bit_cast<uint32_t>(static_cast<float>(value)), &entry);
  AppendBytes(1, entry, summary);
}

void AppendImage(absl::string_view tag, const Image& image, absl::string_view png,
                 std::string* summary) {
  std::string encoded;
  AppendInt(1, image.height, &encoded);
  AppendInt(2, image.width, &encoded);
  AppendInt(3, image.channels, &encoded);  // colorspace: 1 grey, 3 RGB.
  AppendBytes(4, png, &encoded);
  std::string entry;
  AppendBytes(1, tag, &entry);
  AppendBytes(4, encoded, &entry);
  AppendBytes(1, entry, summary);
}

std::string WithSummary(std::string event, absl::string_view summary) {
  AppendBytes(5, summary, &event);
  return event;
}

}  // namespace

uint32_t Crc32c(absl::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = Crc32cTable();
  uint32_t crc = 0xFFFFFFFFu;
  for (char byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<uint8_t>(byte)) & 0xFF];
  return ~crc;
}

std::string TfRecord(absl::string_view data) {
  std::string record;
  AppendLittleEndian(static_cast<uint64_t>(data.size()), &record);
  AppendLittleEndian(MaskedCrc(record), &record);
  absl::StrAppend(&record, data);
  AppendLittleEndian(MaskedCrc(data), &record);
  return record;
}

absl::StatusOr<std::unique_ptr<TensorBoardLog>> TensorBoardLog::Open(
    const std::filesystem::path& directory, int64_t first_step, absl::Time now) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return ErrnoInFile(directory, "cannot create directory", error.value());
  // TensorBoard reads files in the order of their names, and only such names.
  const std::filesystem::path path =
      directory / absl::StrFormat("events.out.tfevents.%010d.%06d.%d", absl::ToUnixSeconds(now),
                                  absl::ToUnixMicros(now) % 1000000, getpid());
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (file == nullptr) return ErrnoInFile(path, "cannot open", errno);
  std::setvbuf(file, nullptr, _IONBF, 0);
  std::unique_ptr<TensorBoardLog> log(new TensorBoardLog(file));
  std::string version = EventAt(now, 0);
  AppendBytes(3, "brain.Event:2", &version);
  log->Write(version);
  std::string started = EventAt(now, first_step + 1);
  std::string session;
  AppendInt(1, 1, &session);  // SessionLog.status: START, from this step on.
  AppendBytes(7, session, &started);
  log->Write(started);
  return log;
}

void TensorBoardLog::OnPoint(const ProgressPoint& point) {
  std::string summary;
  AppendScalar("loss/train", point.loss, &summary);
  if (point.held_out_loss) AppendScalar("loss/ema_held_out", *point.held_out_loss, &summary);
  for (size_t level = 0; level < kLossLevels; ++level) {
    if (!point.loss_by_level[level]) continue;
    AppendScalar(absl::StrCat("loss_by_level/", level), *point.loss_by_level[level], &summary);
  }
  AppendScalar("gradient_norm", point.gradient_norm, &summary);
  AppendScalar("learning_rate", point.learning_rate, &summary);
  AppendScalar("images_per_second", point.images_per_second, &summary);
  AppendScalar("waiting_share", point.waiting_share, &summary);
  AppendScalar("skipped_steps", static_cast<double>(point.skipped_steps), &summary);
  Write(WithSummary(EventAt(point.time, point.step), summary));
}

void TensorBoardLog::OnSamples(int64_t step, const Image& sheet) {
  const absl::StatusOr<std::string> png = EncodePng(sheet);
  if (!png.ok()) return;
  std::string summary;
  AppendImage("samples", sheet, *png, &summary);
  Write(WithSummary(EventAt(absl::Now(), step), summary));
}

void TensorBoardLog::Write(absl::string_view event) {
  if (file_ == nullptr) return;
  const std::string record = TfRecord(event);
  if (std::fwrite(record.data(), 1, record.size(), file_.get()) == record.size()) {
    whole_bytes_ += static_cast<int64_t>(record.size());
    return;
  }
  // Readers stop for good at a record that is cut off.
  std::clearerr(file_.get());
  if (ftruncate(fileno(file_.get()), whole_bytes_) != 0) file_.reset();
}

}  // namespace diffusiond
