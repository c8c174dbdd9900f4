// Zip archives and pickles for tests, byte by byte, so that every one of them can be wrong.
#ifndef DIFFUSIOND_TESTS_MODEL_CHECKPOINT_TORCH_ARCHIVE_WRITER_H_
#define DIFFUSIOND_TESTS_MODEL_CHECKPOINT_TORCH_ARCHIVE_WRITER_H_

#include <cstdint>
#include <string>
#include <vector>

namespace diffusiond {

template <typename T>
std::string LittleEndian(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

struct ZipEntry {
  std::string name;
  std::string bytes;
  uint16_t method = 0;
  uint16_t flags = 0;
  std::string local_name = name;
  uint32_t claimed_size = static_cast<uint32_t>(bytes.size());
  uint32_t claimed_offset = 0xFFFFFFF0;  // This: the true one.
};

inline std::string Zip(const std::vector<ZipEntry>& entries, const std::string& comment = "",
                       int surplus_count = 0) {
  std::string file, directory;
  for (const ZipEntry& entry : entries) {
    const uint32_t offset = entry.claimed_offset == 0xFFFFFFF0 ? static_cast<uint32_t>(file.size())
                                                               : entry.claimed_offset;
    const std::string common = LittleEndian<uint16_t>(20) + LittleEndian(entry.flags) +
                               LittleEndian(entry.method) + LittleEndian<uint32_t>(0) +
                               LittleEndian<uint32_t>(0) + LittleEndian(entry.claimed_size) +
                               LittleEndian(entry.claimed_size);
    const std::string padding = "FB\x03\x00zzz";
    file += "PK\3\4" + common + LittleEndian(static_cast<uint16_t>(entry.local_name.size())) +
            LittleEndian(static_cast<uint16_t>(padding.size())) + entry.local_name + padding +
            entry.bytes;
    directory += "PK\1\2" + LittleEndian<uint16_t>(20) + common +
                 LittleEndian(static_cast<uint16_t>(entry.name.size())) + std::string(12, '\0') +
                 LittleEndian(offset) + entry.name;
  }
  const uint16_t count = static_cast<uint16_t>(static_cast<int>(entries.size()) + surplus_count);
  return file + directory + "PK\5\6" + LittleEndian<uint32_t>(0) + LittleEndian(count) +
         LittleEndian(count) + LittleEndian(static_cast<uint32_t>(directory.size())) +
         LittleEndian(static_cast<uint32_t>(file.size())) +
         LittleEndian(static_cast<uint16_t>(comment.size())) + comment;
}

// Pieces of pickles, protocol 2.
namespace pickle {

inline const std::string kBegin = "\x80\x02";
inline const std::string kOrderedDict = "ccollections\nOrderedDict\n)R";
inline const std::string kStop = ".";

inline std::string Text(const std::string& text) {
  return "X" + LittleEndian(static_cast<uint32_t>(text.size())) + text;
}
inline std::string Int(int32_t value) { return "J" + LittleEndian(value); }
inline std::string Tuple(const std::vector<int32_t>& values) {
  std::string tuple = "(";
  for (int32_t value : values) tuple += Int(value);
  return tuple + "t";
}
inline std::string Storage(const std::string& type, const std::string& key, int32_t elements) {
  return "(" + Text("storage") + "ctorch\n" + type + "\n" + Text(key) + Text("cpu") +
         Int(elements) + "tQ";
}
inline std::string Tensor(const std::string& storage, int32_t offset,
                          const std::vector<int32_t>& size, const std::vector<int32_t>& stride) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + Int(offset) + Tuple(size) +
         Tuple(stride) + "\x89" + kOrderedDict + "tR";
}
// A state_dict of `items`, each a key and a value.
inline std::string Dict(const std::string& items) {
  return kBegin + kOrderedDict + "(" + items + "u" + kStop;
}

}  // namespace pickle

// What torch.save writes for one storage "0" of `bytes`.
inline std::string TorchArchive(const std::string& pickle, const std::string& bytes) {
  return Zip({{"model/data.pkl", pickle}, {"model/data/0", bytes}, {"model/version", "3\n"}});
}

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_MODEL_CHECKPOINT_TORCH_ARCHIVE_WRITER_H_
