#include "model/checkpoint/pickle_machine.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/pickle_opcodes.h"
#include "model/checkpoint/pickled_tensor.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr uint8_t kKnownProtocol = 2;

struct NamedStorage {
  absl::string_view name;
  Dtype dtype;
};
constexpr NamedStorage kStorages[] = {
    {"DoubleStorage", Dtype::kF64},    {"FloatStorage", Dtype::kF32}, {"HalfStorage", Dtype::kF16},
    {"BFloat16Storage", Dtype::kBF16}, {"LongStorage", Dtype::kI64},  {"IntStorage", Dtype::kI32},
    {"ShortStorage", Dtype::kI16},     {"CharStorage", Dtype::kI8},   {"ByteStorage", Dtype::kU8},
    {"BoolStorage", Dtype::kBool},
};

enum class Kind {
  kMark,
  kNone,
  kBool,
  kInt,
  kString,
  kOrderedDict,
  kRebuildTensor,
  kStorageType,
  kTuple,
  kDict,
  kStorage,
  kTensor
};

constexpr const char* kKindNames[] = {"a mark",
                                      "None",
                                      "a boolean",
                                      "an integer",
                                      "a string",
                                      "collections.OrderedDict",
                                      "torch._utils._rebuild_tensor_v2",
                                      "a storage type",
                                      "a tuple",
                                      "a dictionary",
                                      "a storage",
                                      "a tensor"};

struct Value {
  Kind kind = Kind::kNone;
  // kInt, kBool: the value. kStorageType: the Dtype. kTuple to kTensor: index into a table.
  int64_t number = 0;
  absl::string_view text;  // kString.
};

using Tuple = std::vector<Value>;
using Dict = std::vector<std::pair<Value, Value>>;

class Machine {
 public:
  Machine(std::span<const std::byte> pickle, const StorageLookup& storage)
      : rest_(pickle), size_(pickle.size()), lookup_(storage) {}

  absl::StatusOr<TensorMap> Run();

 private:
  absl::Status Execute(PickleOpcode opcode);
  absl::Status ImportGlobal();
  absl::Status Reduce();
  absl::Status LoadStorage();
  absl::Status RebuildTensor(const Tuple& arguments);
  absl::Status MakeTuple(size_t count);
  absl::Status SetItems(size_t count);
  absl::Status Build();
  absl::Status Put(uint32_t slot);
  absl::Status Get(uint32_t slot);
  absl::StatusOr<TensorMap> Result();

  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("pickle, before byte ", size_ - rest_.size(), ": ", what));
  }
  absl::Status Push(Value value) {
    stack_.push_back(value);
    return absl::OkStatus();
  }
  absl::Status Push(Kind kind, int64_t number) { return Push(Value{kind, number, {}}); }

  // Reads a little-endian number that follows an opcode.
  template <typename T>
  bool Take(T* value) {
    if (rest_.size() < sizeof(T)) return false;
    std::memcpy(value, rest_.data(), sizeof(T));
    rest_ = rest_.subspan(sizeof(T));
    return true;
  }
  std::optional<absl::string_view> TakeText(size_t size);
  std::optional<absl::string_view> TakeLine();
  template <typename T>
  absl::Status PushInt();
  template <typename T>
  absl::Status WithSlot(absl::Status (Machine::*action)(uint32_t));
  // Drops the topmost mark and does it with the number of values above.
  absl::Status WithMarked(absl::Status (Machine::*action)(size_t));

  std::span<const std::byte> rest_;
  const size_t size_;
  const StorageLookup& lookup_;
  std::vector<Value> stack_;
  std::unordered_map<uint32_t, Value> memo_;
  std::vector<Tuple> tuples_;
  std::vector<Dict> dicts_;
  std::vector<PickledStorage> storages_;
  std::vector<TensorView> tensors_;
};

std::optional<absl::string_view> Machine::TakeText(size_t size) {
  if (rest_.size() < size) return std::nullopt;
  const absl::string_view text(reinterpret_cast<const char*>(rest_.data()), size);
  rest_ = rest_.subspan(size);
  return text;
}

std::optional<absl::string_view> Machine::TakeLine() {
  const absl::string_view all(reinterpret_cast<const char*>(rest_.data()), rest_.size());
  const size_t newline = all.find('\n');
  if (newline == absl::string_view::npos) return std::nullopt;
  rest_ = rest_.subspan(newline + 1);
  return all.substr(0, newline);
}

template <typename T>
absl::Status Machine::PushInt() {
  T value;
  if (!Take(&value)) return Error("truncated");
  return Push(Kind::kInt, value);
}

template <typename T>
absl::Status Machine::WithSlot(absl::Status (Machine::*action)(uint32_t)) {
  T slot;
  if (!Take(&slot)) return Error("truncated");
  return (this->*action)(slot);
}

absl::Status Machine::WithMarked(absl::Status (Machine::*action)(size_t)) {
  const auto mark = std::find_if(stack_.rbegin(), stack_.rend(),
                                 [](const Value& value) { return value.kind == Kind::kMark; });
  if (mark == stack_.rend()) return Error("no mark");
  const auto count = static_cast<size_t>(mark - stack_.rbegin());
  stack_.erase(std::next(mark).base());
  return (this->*action)(count);
}

absl::StatusOr<TensorMap> Machine::Run() {
  PickleOpcode opcode;
  uint8_t protocol;
  if (!Take(&opcode) || opcode != PickleOpcode::kProtocol || !Take(&protocol) ||
      protocol != kKnownProtocol) {
    return Error("expected a pickle of protocol 2");
  }
  for (int64_t count = 0; count < kMaxPickleInstructions; ++count) {
    if (!Take(&opcode)) return Error("truncated");
    if (opcode == PickleOpcode::kStop) return Result();
    RETURN_IF_ERROR(Execute(opcode));
  }
  return Error(absl::StrCat("more than ", kMaxPickleInstructions, " instructions"));
}

absl::Status Machine::Execute(PickleOpcode opcode) {
  using enum PickleOpcode;
  switch (opcode) {
    case kMark:
      return Push(Kind::kMark, 0);
    case kNone:
      return Push(Kind::kNone, 0);
    case kNewTrue:
      return Push(Kind::kBool, 1);
    case kNewFalse:
      return Push(Kind::kBool, 0);
    case kBinInt:
      return PushInt<int32_t>();
    case kBinInt1:
      return PushInt<uint8_t>();
    case kBinInt2:
      return PushInt<uint16_t>();
    case kBinUnicode: {
      uint32_t size;
      if (!Take(&size)) return Error("truncated");
      const std::optional<absl::string_view> text = TakeText(size);
      if (!text)
        return Error(absl::StrCat("a string claims ", size, " bytes, ", rest_.size(), " are left"));
      return Push(Value{Kind::kString, 0, *text});
    }
    case kGlobal:
      return ImportGlobal();
    case kReduce:
      return Reduce();
    case kBinPersistentId:
      return LoadStorage();
    case kBuild:
      return Build();
    case kEmptyDict:
      dicts_.emplace_back();
      return Push(Kind::kDict, static_cast<int64_t>(dicts_.size()) - 1);
    case kSetItem:
      return SetItems(2);
    case kSetItems:
      return WithMarked(&Machine::SetItems);
    case kEmptyTuple:
      return MakeTuple(0);
    case kTuple1:
      return MakeTuple(1);
    case kTuple2:
      return MakeTuple(2);
    case kTuple3:
      return MakeTuple(3);
    case kTuple:
      return WithMarked(&Machine::MakeTuple);
    case kBinPut:
      return WithSlot<uint8_t>(&Machine::Put);
    case kLongBinPut:
      return WithSlot<uint32_t>(&Machine::Put);
    case kBinGet:
      return WithSlot<uint8_t>(&Machine::Get);
    case kLongBinGet:
      return WithSlot<uint32_t>(&Machine::Get);
    default:
      return Error(absl::StrFormat("opcode 0x%02x is refused: no state_dict needs it",
                                   static_cast<int>(opcode)));
  }
}

absl::Status Machine::ImportGlobal() {
  const std::optional<absl::string_view> module = TakeLine();
  const std::optional<absl::string_view> name = module ? TakeLine() : std::nullopt;
  if (!name) return Error("truncated");
  if (*module == "collections" && *name == "OrderedDict") return Push(Kind::kOrderedDict, 0);
  if (*module == "torch._utils" && *name == "_rebuild_tensor_v2") {
    return Push(Kind::kRebuildTensor, 0);
  }
  for (const NamedStorage& storage : kStorages) {
    if (*module == "torch" && *name == storage.name) {
      return Push(Kind::kStorageType, static_cast<int64_t>(storage.dtype));
    }
  }
  return Error(absl::StrCat("it imports ", Quoted(absl::StrCat(*module, ".", *name)),
                            ", which is refused: only dictionaries of tensors are read"));
}

absl::Status Machine::Reduce() {
  if (stack_.size() < 2) return Error("the stack is empty");
  const Value arguments = stack_.back();
  stack_.pop_back();
  const Value callee = stack_.back();
  stack_.pop_back();
  if (arguments.kind != Kind::kTuple) return Error("arguments are not a tuple");
  const Tuple& tuple = tuples_[static_cast<size_t>(arguments.number)];
  if (callee.kind == Kind::kRebuildTensor) return RebuildTensor(tuple);
  if (callee.kind != Kind::kOrderedDict || !tuple.empty()) {
    return Error(absl::StrCat("a call of ", kKindNames[static_cast<int>(callee.kind)], " with ",
                              tuple.size(), " arguments is refused"));
  }
  dicts_.emplace_back();
  return Push(Kind::kDict, static_cast<int64_t>(dicts_.size()) - 1);
}

// ("storage", type, key, device, number of elements)
absl::Status Machine::LoadStorage() {
  if (stack_.empty() || stack_.back().kind != Kind::kTuple) return Error("no persistent id");
  const Tuple& id = tuples_[static_cast<size_t>(stack_.back().number)];
  stack_.pop_back();
  if (id.size() != 5 || id[0].kind != Kind::kString || id[0].text != "storage" ||
      id[1].kind != Kind::kStorageType || id[2].kind != Kind::kString || id[4].kind != Kind::kInt) {
    return Error("a persistent id is not (\"storage\", type, key, device, size)");
  }
  ASSIGN_OR_RETURN(const std::span<const std::byte> data, lookup_(id[2].text));
  const PickledStorage storage = {static_cast<Dtype>(id[1].number), data};
  const std::optional<int64_t> bytes = NumBytes(storage.dtype, std::span(&id[4].number, 1));
  if (!bytes || static_cast<uint64_t>(*bytes) != data.size()) {
    return Error(absl::StrCat("storage ", Quoted(id[2].text), " of ", id[4].number, " ",
                              DtypeName(storage.dtype), " elements, found ", data.size(),
                              " bytes"));
  }
  storages_.push_back(storage);
  return Push(Kind::kStorage, static_cast<int64_t>(storages_.size()) - 1);
}

// (storage, offset, size, stride, requires_grad, backward_hooks)
absl::Status Machine::RebuildTensor(const Tuple& arguments) {
  if (arguments.size() != 6 || arguments[0].kind != Kind::kStorage ||
      arguments[1].kind != Kind::kInt || arguments[2].kind != Kind::kTuple ||
      arguments[3].kind != Kind::kTuple) {
    return Error("_rebuild_tensor_v2 is not given (storage, offset, size, stride, grad, hooks)");
  }
  std::vector<int64_t> lists[2];
  for (int i = 0; i < 2; ++i) {
    const Tuple& tuple = tuples_[static_cast<size_t>(arguments[static_cast<size_t>(i) + 2].number)];
    if (tuple.size() > kMaxTensorDimensions) {
      return Error(absl::StrCat("a tensor of ", tuple.size(), " dimensions, at most ",
                                kMaxTensorDimensions, " are accepted"));
    }
    for (const Value& value : tuple) {
      if (value.kind != Kind::kInt) return Error("a tensor's size or stride is not of integers");
      lists[i].push_back(value.number);
    }
  }
  absl::StatusOr<TensorView> tensor =
      ViewOfStorage(storages_[static_cast<size_t>(arguments[0].number)], arguments[1].number,
                    std::move(lists[0]), lists[1]);
  if (!tensor.ok()) return Error(tensor.status().message());
  tensors_.push_back(*std::move(tensor));
  return Push(Kind::kTensor, static_cast<int64_t>(tensors_.size()) - 1);
}

absl::Status Machine::MakeTuple(size_t count) {
  if (stack_.size() < count) return Error("the stack is empty");
  const auto first = stack_.end() - static_cast<ptrdiff_t>(count);
  tuples_.emplace_back(first, stack_.end());
  stack_.erase(first, stack_.end());
  return Push(Kind::kTuple, static_cast<int64_t>(tuples_.size()) - 1);
}

absl::Status Machine::SetItems(size_t count) {
  if (count % 2 != 0 || stack_.size() < count + 1) return Error("keys and values do not pair up");
  const size_t first = stack_.size() - count;
  const Value target = stack_[first - 1];
  if (target.kind != Kind::kDict) return Error("items are set in what is not a dictionary");
  Dict& dict = dicts_[static_cast<size_t>(target.number)];
  for (size_t i = first; i < stack_.size(); i += 2) dict.emplace_back(stack_[i], stack_[i + 1]);
  stack_.resize(first);
  return absl::OkStatus();
}

// Gives an object its attributes; a state_dict's are "_metadata", which holds no tensors.
absl::Status Machine::Build() {
  if (stack_.size() < 2 || stack_.back().kind != Kind::kDict ||
      stack_[stack_.size() - 2].kind != Kind::kDict) {
    return Error("attributes are given to what is not a dictionary");
  }
  stack_.pop_back();
  return absl::OkStatus();
}

absl::Status Machine::Put(uint32_t slot) {
  if (stack_.empty()) return Error("the stack is empty");
  memo_[slot] = stack_.back();
  return absl::OkStatus();
}

absl::Status Machine::Get(uint32_t slot) {
  const auto found = memo_.find(slot);
  if (found == memo_.end()) return Error(absl::StrCat("memo slot ", slot, " is empty"));
  return Push(found->second);
}

absl::StatusOr<TensorMap> Machine::Result() {
  if (stack_.size() != 1 || stack_.back().kind != Kind::kDict) {
    return Error("the result is not a dictionary");
  }
  TensorMap tensors;
  for (const auto& [key, value] : dicts_[static_cast<size_t>(stack_.back().number)]) {
    if (key.kind != Kind::kString) return Error("a key of the result is not a string");
    if (value.kind != Kind::kTensor) {
      return Error(absl::StrCat(Quoted(key.text), ": expected a tensor, found ",
                                kKindNames[static_cast<int>(value.kind)]));
    }
    const TensorView& tensor = tensors_[static_cast<size_t>(value.number)];
    if (!tensors.emplace(key.text, tensor).second) {
      return Error(absl::StrCat(Quoted(key.text), " is there twice"));
    }
  }
  return tensors;
}

}  // namespace

absl::StatusOr<TensorMap> ReadPickledTensors(std::span<const std::byte> pickle,
                                             const StorageLookup& storage) {
  return Machine(pickle, storage).Run();
}

}  // namespace diffusiond
