#include "tests/fuzz/message_mutator.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "google/protobuf/descriptor.h"

namespace diffusiond {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool IsAscii(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

class Mutator {
 public:
  Mutator(const MutatorWords& words, std::mt19937* random) : words_(words), random_(random) {}

  void Mutate(Message* message) {
    const auto* descriptor = message->GetDescriptor();
    const FieldDescriptor* field = descriptor->field(Below(descriptor->field_count()));
    const Reflection* reflection = message->GetReflection();
    if (field->is_repeated()) return;
    if (Below(4) == 0) return reflection->ClearField(message, field);
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Mutate(reflection->MutableMessage(message, field));
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection->SetBool(message, field, Below(2) == 1);
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection->SetInt32(message, field, static_cast<int32_t>(Integer()));
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection->SetInt64(message, field, static_cast<int64_t>(Integer()));
      case FieldDescriptor::CPPTYPE_UINT32:
        return reflection->SetUInt32(message, field, static_cast<uint32_t>(Integer()));
      case FieldDescriptor::CPPTYPE_UINT64:
        return reflection->SetUInt64(message, field, Integer());
      case FieldDescriptor::CPPTYPE_FLOAT:
        return reflection->SetFloat(message, field, static_cast<float>(Number()));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return reflection->SetDouble(message, field, Number());
      case FieldDescriptor::CPPTYPE_ENUM:
        // Open enums: any number may come.
        return reflection->SetEnumValue(message, field, Below(8) - 1);
      case FieldDescriptor::CPPTYPE_STRING:
        return reflection->SetString(message, field,
                                     Text(reflection->GetString(*message, field),
                                          field->type() == FieldDescriptor::TYPE_STRING));
    }
  }

 private:
  int Below(int limit) { return static_cast<int>((*random_)() % static_cast<unsigned>(limit)); }

  uint64_t Integer() {
    constexpr uint64_t kEdges[] = {0,
                                   1,
                                   2,
                                   3,
                                   5,
                                   20,
                                   64,
                                   100,
                                   1000,
                                   100000,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x7fffffffffffffff,
                                   0xffffffffffffffff};
    if (Below(2) == 0) return kEdges[Below(std::size(kEdges))];
    return static_cast<uint64_t>(Below(64));
  }

  double Number() {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    constexpr double kEdges[] = {0,    -0.0, 1,    -1,        0.5,        1e-45, 1e-30,
                                 1e30, 3e38, -5e9, kInfinity, -kInfinity, kNan,  50};
    if (Below(2) == 0) return kEdges[Below(std::size(kEdges))];
    return (Below(2001) - 500) / 1000.0;
  }

  // A string stays UTF-8: of its own bytes only ASCII is changed. Bytes may be anything.
  std::string Text(std::string text, bool is_string) {
    const std::vector<std::string>& words = is_string ? words_.strings : words_.bytes;
    if (Below(2) == 0) return words[static_cast<size_t>(Below(static_cast<int>(words.size())))];
    if (is_string && !IsAscii(text)) text.clear();
    for (int changes = 1 + Below(3); changes > 0; --changes) {
      const size_t at = static_cast<size_t>(Below(static_cast<int>(text.size()) + 1));
      const char byte = static_cast<char>(is_string ? 1 + Below(126) : Below(256));
      const int how = Below(3);
      if (how == 0 || at == text.size()) {
        text.insert(at, 1, byte);
      } else if (how == 1) {
        text.erase(at, 1);
      } else {
        text[at] = byte;
      }
    }
    return text;
  }

  const MutatorWords& words_;
  std::mt19937* const random_;
};

}  // namespace

void MutateMessage(Message* message, const MutatorWords& words, std::mt19937* random) {
  Mutator(words, random).Mutate(message);
}

}  // namespace diffusiond
