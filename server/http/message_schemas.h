// JSON Schemas of protobuf's messages.
#ifndef DIFFUSIOND_SERVER_HTTP_MESSAGE_SCHEMAS_H_
#define DIFFUSIOND_SERVER_HTTP_MESSAGE_SCHEMAS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "nlohmann/json.hpp"

namespace diffusiond {

// Of messages of the package diffusiond.v1 by their short names, "Receipt"; references go to
// #/components/schemas/NAME. Comments of the .proto files are descriptions. Thread-compatible.
class MessageSchemas {
 public:
  // `descriptors`: a FileDescriptorSet with its imports and source information.
  explicit MessageSchemas(absl::string_view descriptors);

  // Adds NAME's schema, and those of messages and enumerations that it refers to and `schemas` has
  // not. What the package does not have adds nothing.
  void Add(const std::string& name, nlohmann::ordered_json& schemas) const;

  // Fields of a message with one value each, by the .proto's names, as people type them: numbers as
  // numbers, words of an enumeration short. Pictures and messages are left out.
  nlohmann::ordered_json FlatFields(const std::string& message) const;

 private:
  google::protobuf::DescriptorPool pool_;
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_SERVER_HTTP_MESSAGE_SCHEMAS_H_
