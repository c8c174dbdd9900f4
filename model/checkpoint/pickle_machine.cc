#include "model/checkpoint/pickle_machine.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "model/checkpoint/pickle_opcodes.h"
#include "model/checkpoint/pickle_reader.h"
#include "model/checkpoint/pickle_value.h"
#include "model/checkpoint/pickled_tensor.h"
#include "model/files/file_status.h"
#include "model/status/status_macros.h"

namespace diffusiond {
namespace {

constexpr uint8_t kFirstProtocol = 2;
constexpr uint8_t kLastProtocol = 5;

// Times over that tensors in another order may copy what the storages hold: tied weights.
constexpr int64_t kMaxCopies = 2;

using Tuple = std::vector<PickleValue>;
using Dict = std::vector<std::pair<PickleValue, PickleValue>>;

class Machine {
 public:
  Machine(std::span<const std::byte> pickle, const StorageLookup& storage)
      : reader_(pickle), lookup_(storage) {}

  absl::StatusOr<TensorMap> Run();

 private:
  absl::Status Execute(PickleOpcode opcode);
  absl::Status ImportGlobal();
  absl::Status ImportFromStack();
  absl::Status Import(absl::string_view module, absl::string_view name);
  absl::Status Reduce();
  absl::Status LoadStorage();
  absl::Status RebuildTensor(const Tuple& arguments);
  absl::Status RebuildParameter(const Tuple& arguments);
  absl::Status MakeTuple(size_t count);
  absl::Status SetItems(size_t count);
  absl::Status Build();
  absl::Status Put(uint32_t slot);
  absl::Status Get(uint32_t slot);
  absl::StatusOr<TensorMap> Result();

  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("pickle, before byte ", reader_.position(), ": ", what));
  }
  absl::Status Push(PickleValue value) {
    stack_.push_back(value);
    return absl::OkStatus();
  }
  absl::Status Push(PickleKind kind, int64_t number) { return Push(PickleValue{kind, number, {}}); }

  template <typename T>
  absl::Status PushInt();
  template <typename T>
  absl::Status PushText();
  absl::Status PushLong();
  template <typename T>
  absl::Status WithSlot(absl::Status (Machine::*action)(uint32_t));
  // Drops the topmost mark and does it with the number of values above.
  absl::Status WithMarked(absl::Status (Machine::*action)(size_t));

  PickleReader reader_;
  const StorageLookup& lookup_;
  std::vector<PickleValue> stack_;
  std::unordered_map<uint32_t, PickleValue> memo_;
  std::vector<Tuple> tuples_;
  std::vector<Dict> dicts_;
  std::vector<PickledStorage> storages_;
  std::vector<TensorView> tensors_;
  std::unordered_set<const std::byte*> known_storages_;
  int64_t may_copy_ = 0;  // Bytes.
};

template <typename T>
absl::Status Machine::PushInt() {
  T value;
  if (!reader_.Take(&value)) return Error("truncated");
  return Push(PickleKind::kInt, value);
}

template <typename T>
absl::Status Machine::PushText() {
  T size;
  if (!reader_.Take(&size)) return Error("truncated");
  const std::optional<absl::string_view> text = reader_.TakeText(size);
  if (text) return Push(PickleValue{PickleKind::kString, 0, *text});
  return Error(absl::StrCat("a string claims ", size, " bytes, ", reader_.left(), " are left"));
}

// Two's complement, of as many bytes as it takes.
absl::Status Machine::PushLong() {
  uint8_t size;
  const std::optional<absl::string_view> digits =
      reader_.Take(&size) ? reader_.TakeText(size) : std::nullopt;
  if (!digits) return Error("truncated");
  int64_t value = 0;
  if (size > sizeof(value)) return Error(absl::StrCat("an integer of ", size, " bytes"));
  std::memcpy(&value, digits->data(), size);
  const int unused = 8 * (static_cast<int>(sizeof(value)) - size);
  if (size > 0) value = static_cast<int64_t>(static_cast<uint64_t>(value) << unused) >> unused;
  return Push(PickleKind::kInt, value);
}

template <typename T>
absl::Status Machine::WithSlot(absl::Status (Machine::*action)(uint32_t)) {
  T slot;
  if (!reader_.Take(&slot)) return Error("truncated");
  return (this->*action)(slot);
}

absl::Status Machine::WithMarked(absl::Status (Machine::*action)(size_t)) {
  const auto mark = std::find_if(stack_.rbegin(), stack_.rend(), [](const PickleValue& value) {
    return value.kind == PickleKind::kMark;
  });
  if (mark == stack_.rend()) return Error("no mark");
  const auto count = static_cast<size_t>(mark - stack_.rbegin());
  stack_.erase(std::next(mark).base());
  return (this->*action)(count);
}

absl::StatusOr<TensorMap> Machine::Run() {
  PickleOpcode opcode;
  uint8_t protocol;
  if (!reader_.Take(&opcode) || opcode != PickleOpcode::kProtocol || !reader_.Take(&protocol) ||
      protocol < kFirstProtocol || protocol > kLastProtocol) {
    return Error("expected a pickle of protocol 2 to 5");
  }
  for (int64_t count = 0; count < kMaxPickleInstructions; ++count) {
    if (!reader_.Take(&opcode)) return Error("truncated");
    if (opcode == PickleOpcode::kStop) return Result();
    RETURN_IF_ERROR(Execute(opcode));
  }
  return Error(absl::StrCat("more than ", kMaxPickleInstructions, " instructions"));
}

absl::Status Machine::Execute(PickleOpcode opcode) {
  using enum PickleOpcode;
  switch (opcode) {
    case kMark:
      return Push(PickleKind::kMark, 0);
    case kNone:
      return Push(PickleKind::kNone, 0);
    case kNewTrue:
      return Push(PickleKind::kBool, 1);
    case kNewFalse:
      return Push(PickleKind::kBool, 0);
    case kBinInt:
      return PushInt<int32_t>();
    case kBinInt1:
      return PushInt<uint8_t>();
    case kBinInt2:
      return PushInt<uint16_t>();
    case kLong1:
      return PushLong();
    case kShortBinUnicode:
      return PushText<uint8_t>();
    case kBinUnicode:
      return PushText<uint32_t>();
    case kBinUnicode8:
      return PushText<uint64_t>();
    case kFrame:  // How far a reader may read ahead; all is in memory.
      return reader_.TakeText(sizeof(uint64_t)) ? absl::OkStatus() : Error("truncated");
    case kGlobal:
      return ImportGlobal();
    case kStackGlobal:
      return ImportFromStack();
    case kReduce:
      return Reduce();
    case kBinPersistentId:
      return LoadStorage();
    case kBuild:
      return Build();
    case kEmptyDict:
      dicts_.emplace_back();
      return Push(PickleKind::kDict, static_cast<int64_t>(dicts_.size()) - 1);
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
    case kMemoize:
      return Put(static_cast<uint32_t>(memo_.size()));
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
  const std::optional<absl::string_view> module = reader_.TakeLine();
  const std::optional<absl::string_view> name = module ? reader_.TakeLine() : std::nullopt;
  if (!name) return Error("truncated");
  return Import(*module, *name);
}

absl::Status Machine::ImportFromStack() {
  if (stack_.size() < 2) return Error("the stack is empty");
  const PickleValue name = stack_.back();
  stack_.pop_back();
  const PickleValue module = stack_.back();
  stack_.pop_back();
  if (name.kind != PickleKind::kString || module.kind != PickleKind::kString) {
    return Error("an import is not named by two strings");
  }
  return Import(module.text, name.text);
}

absl::Status Machine::Import(absl::string_view module, absl::string_view name) {
  if (const std::optional<PickleValue> known = ImportedPickleValue(module, name)) {
    return Push(*known);
  }
  return Error(absl::StrCat("it imports ", Quoted(absl::StrCat(module, ".", name)),
                            ", which is refused: only dictionaries of tensors are read"));
}

absl::Status Machine::Reduce() {
  if (stack_.size() < 2) return Error("the stack is empty");
  const PickleValue arguments = stack_.back();
  stack_.pop_back();
  const PickleValue callee = stack_.back();
  stack_.pop_back();
  if (arguments.kind != PickleKind::kTuple) return Error("arguments are not a tuple");
  const Tuple& tuple = tuples_[static_cast<size_t>(arguments.number)];
  if (callee.kind == PickleKind::kRebuildTensor) return RebuildTensor(tuple);
  if (callee.kind == PickleKind::kRebuildParameter) return RebuildParameter(tuple);
  if (callee.kind != PickleKind::kOrderedDict || !tuple.empty()) {
    return Error(absl::StrCat("a call of ", NameOf(callee.kind), " with ", tuple.size(),
                              " arguments is refused"));
  }
  dicts_.emplace_back();
  return Push(PickleKind::kDict, static_cast<int64_t>(dicts_.size()) - 1);
}

// ("storage", type, key, device, number of elements)
absl::Status Machine::LoadStorage() {
  if (stack_.empty() || stack_.back().kind != PickleKind::kTuple) return Error("no persistent id");
  const Tuple& id = tuples_[static_cast<size_t>(stack_.back().number)];
  stack_.pop_back();
  if (id.size() != 5 || id[0].kind != PickleKind::kString || id[0].text != "storage" ||
      id[1].kind != PickleKind::kStorageType || id[2].kind != PickleKind::kString ||
      id[4].kind != PickleKind::kInt) {
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
  if (known_storages_.insert(data.data()).second) {
    may_copy_ += kMaxCopies * static_cast<int64_t>(data.size());
  }
  storages_.push_back(storage);
  return Push(PickleKind::kStorage, static_cast<int64_t>(storages_.size()) - 1);
}

// (storage, offset, size, stride, requires_grad, backward_hooks)
absl::Status Machine::RebuildTensor(const Tuple& arguments) {
  if (arguments.size() != 6 || arguments[0].kind != PickleKind::kStorage ||
      arguments[1].kind != PickleKind::kInt || arguments[2].kind != PickleKind::kTuple ||
      arguments[3].kind != PickleKind::kTuple) {
    return Error("_rebuild_tensor_v2 is not given (storage, offset, size, stride, grad, hooks)");
  }
  std::vector<int64_t> lists[2];
  for (int i = 0; i < 2; ++i) {
    const Tuple& tuple = tuples_[static_cast<size_t>(arguments[static_cast<size_t>(i) + 2].number)];
    if (tuple.size() > kMaxTensorDimensions) {
      return Error(absl::StrCat("a tensor of ", tuple.size(), " dimensions, at most ",
                                kMaxTensorDimensions, " are accepted"));
    }
    for (const PickleValue& value : tuple) {
      if (value.kind != PickleKind::kInt)
        return Error("a tensor's size or stride is not of integers");
      lists[i].push_back(value.number);
    }
  }
  absl::StatusOr<TensorView> tensor =
      ViewOfStorage(storages_[static_cast<size_t>(arguments[0].number)], arguments[1].number,
                    std::move(lists[0]), lists[1], may_copy_);
  if (!tensor.ok()) return Error(tensor.status().message());
  if (tensor->kept != nullptr) may_copy_ -= static_cast<int64_t>(tensor->kept->size());
  tensors_.push_back(*std::move(tensor));
  return Push(PickleKind::kTensor, static_cast<int64_t>(tensors_.size()) - 1);
}

// (tensor, requires_grad, backward_hooks)
absl::Status Machine::RebuildParameter(const Tuple& arguments) {
  if (arguments.size() != 3 || arguments[0].kind != PickleKind::kTensor) {
    return Error("_rebuild_parameter is not given (tensor, grad, hooks)");
  }
  return Push(arguments[0]);
}

absl::Status Machine::MakeTuple(size_t count) {
  if (stack_.size() < count) return Error("the stack is empty");
  const auto first = stack_.end() - static_cast<ptrdiff_t>(count);
  tuples_.emplace_back(first, stack_.end());
  stack_.erase(first, stack_.end());
  return Push(PickleKind::kTuple, static_cast<int64_t>(tuples_.size()) - 1);
}

absl::Status Machine::SetItems(size_t count) {
  if (count % 2 != 0 || stack_.size() < count + 1) return Error("keys and values do not pair up");
  const size_t first = stack_.size() - count;
  const PickleValue target = stack_[first - 1];
  if (target.kind != PickleKind::kDict) return Error("items are set in what is not a dictionary");
  Dict& dict = dicts_[static_cast<size_t>(target.number)];
  for (size_t i = first; i < stack_.size(); i += 2) dict.emplace_back(stack_[i], stack_[i + 1]);
  stack_.resize(first);
  return absl::OkStatus();
}

// Gives an object its attributes; a state_dict's are "_metadata", which holds no tensors.
absl::Status Machine::Build() {
  if (stack_.size() < 2 || stack_.back().kind != PickleKind::kDict ||
      stack_[stack_.size() - 2].kind != PickleKind::kDict) {
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
  if (stack_.size() != 1 || stack_.back().kind != PickleKind::kDict) {
    return Error("the result is not a dictionary");
  }
  TensorMap tensors;
  for (const auto& [key, value] : dicts_[static_cast<size_t>(stack_.back().number)]) {
    if (key.kind != PickleKind::kString) return Error("a key of the result is not a string");
    if (value.kind != PickleKind::kTensor) {
      return Error(
          absl::StrCat(Quoted(key.text), ": expected a tensor, found ", NameOf(value.kind)));
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
