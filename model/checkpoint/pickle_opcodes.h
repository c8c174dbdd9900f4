// The opcodes of pickle protocols 2 to 5 that a state_dict needs.
#ifndef DIFFUSIOND_MODEL_CHECKPOINT_PICKLE_OPCODES_H_
#define DIFFUSIOND_MODEL_CHECKPOINT_PICKLE_OPCODES_H_

#include <cstdint>

namespace diffusiond {

// Named as in Python's pickletools.
enum class PickleOpcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersistentId = 'Q',
  kReduce = 'R',
  kBinUnicode = 'X',
  kBuild = 'b',
  kGlobal = 'c',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kEmptyTuple = ')',
  kProtocol = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

}  // namespace diffusiond

#endif  // DIFFUSIOND_MODEL_CHECKPOINT_PICKLE_OPCODES_H_
