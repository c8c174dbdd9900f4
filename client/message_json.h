// Messages of the API as JSON.
#ifndef DIFFUSIOND_CLIENT_MESSAGE_JSON_H_
#define DIFFUSIOND_CLIENT_MESSAGE_JSON_H_

#include <string>

#include "google/protobuf/message.h"

namespace diffusiond {

// The proto3 JSON mapping, so names and forms are as stable as the API's and as grpcurl shows them;
// all fields, indented, with a newline at the end.
std::string MessageJson(const google::protobuf::Message& message);

// The same on one line, without its end.
std::string MessageJsonLine(const google::protobuf::Message& message);

}  // namespace diffusiond

#endif  // DIFFUSIOND_CLIENT_MESSAGE_JSON_H_
