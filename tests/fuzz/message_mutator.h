// Changes protobuf messages field by field, so that what a fuzzer tries is a message still.
#ifndef DIFFUSIOND_TESTS_FUZZ_MESSAGE_MUTATOR_H_
#define DIFFUSIOND_TESTS_FUZZ_MESSAGE_MUTATOR_H_

#include <random>
#include <string>
#include <vector>

#include "google/protobuf/message.h"

namespace diffusiond {

// What fields are likely to be meant to hold; neither is empty. The strings are UTF-8.
struct MutatorWords {
  std::vector<std::string> strings, bytes;
};

// Sets, changes or clears one field of `message`, or of a message in it. Numbers are at the edges
// of their types as often as anywhere; strings and bytes are `words` as often as anything.
void MutateMessage(google::protobuf::Message* message, const MutatorWords& words,
                   std::mt19937* random);

}  // namespace diffusiond

#endif  // DIFFUSIOND_TESTS_FUZZ_MESSAGE_MUTATOR_H_
