// Options of a table as fields of a message: a field bears its option's name and has its kind.
#ifndef DIFFUSIOND_PROTO_OPTION_FIELDS_H_
#define DIFFUSIOND_PROTO_OPTION_FIELDS_H_

#include <optional>

#include "google/protobuf/message.h"
#include "model/config/option.h"

namespace diffusiond {

// Nothing, if the field is unset.
std::optional<OptionValue> ReadOption(const google::protobuf::Message& message,
                                      const OptionSpec& option);

void WriteOption(const OptionSpec& option, const OptionValue& value,
                 google::protobuf::Message* message);

// The nearest value that the API's float carries, so that what is reported draws the same again.
OptionValue AsCarried(const OptionValue& value);

}  // namespace diffusiond

#endif  // DIFFUSIOND_PROTO_OPTION_FIELDS_H_
