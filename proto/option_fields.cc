#include "proto/option_fields.h"

#include <cstdint>
#include <string>

#include "google/protobuf/descriptor.h"

namespace diffusiond {
namespace {

const google::protobuf::FieldDescriptor* FieldOf(const google::protobuf::Message& message,
                                                 const OptionSpec& option) {
  return message.GetDescriptor()->FindFieldByName(std::string(option.name));
}

}  // namespace

std::optional<OptionValue> ReadOption(const google::protobuf::Message& message,
                                      const OptionSpec& option) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const auto* const field = FieldOf(message, option);
  if (!reflection.HasField(message, field)) return std::nullopt;
  switch (option.kind) {
    case OptionKind::kSwitch:
      return reflection.GetBool(message, field);
    case OptionKind::kInteger:
      return int64_t{reflection.GetUInt32(message, field)};
    case OptionKind::kNumber:
      return static_cast<double>(reflection.GetFloat(message, field));
    case OptionKind::kWord:
      break;
  }
  return reflection.GetString(message, field);
}

void WriteOption(const OptionSpec& option, const OptionValue& value,
                 google::protobuf::Message* message) {
  const google::protobuf::Reflection& reflection = *message->GetReflection();
  const auto* const field = FieldOf(*message, option);
  if (const bool* on = std::get_if<bool>(&value)) {
    reflection.SetBool(message, field, *on);
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    reflection.SetUInt32(message, field, static_cast<uint32_t>(*integer));
  } else if (const auto* number = std::get_if<double>(&value)) {
    reflection.SetFloat(message, field, static_cast<float>(*number));
  } else {
    reflection.SetString(message, field, std::get<std::string>(value));
  }
}

OptionValue AsCarried(const OptionValue& value) {
  const auto* const number = std::get_if<double>(&value);
  if (number == nullptr) return value;
  return static_cast<double>(static_cast<float>(*number));
}

}  // namespace diffusiond
