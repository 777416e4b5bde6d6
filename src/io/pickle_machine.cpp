#include "io/pickle_machine.h"

#include <bit>

#include "io/pickle_names.h"

namespace moefy::io::pickle {
namespace {

constexpr uint64_t kMaxNodes = 1 << 22;  // a checkpoint needs some twenty per tensor
constexpr size_t kMaxMarks = 1000;       // how deep tuples may lie in tuples

}  // namespace

std::string_view Machine::Take(uint64_t size) {
  if (size > bytes_.size() - position_) {
    Fail(size, " bytes are wanted at byte ", position_, " of ", bytes_.size(),
         ": it is cut short or damaged");
  }
  const char* begin = reinterpret_cast<const char*>(bytes_.data()) + position_;
  position_ += size;
  return {begin, static_cast<size_t>(size)};
}

std::string_view Machine::TakeLine() {
  constexpr uint64_t kMaxBytes = 1000;
  const size_t begin = position_;
  while (Read<char>() != '\n') {
    if (position_ - begin > kMaxBytes) Fail("a global's name at byte ", begin, " never ends");
  }
  return {reinterpret_cast<const char*>(bytes_.data()) + begin, position_ - begin - 1};
}

void Machine::Push(Value value) {
  if (pickle_.nodes.size() >= kMaxNodes) Fail("more than ", kMaxNodes, " values");
  stack_.push_back(static_cast<NodeId>(pickle_.nodes.size()));
  pickle_.nodes.push_back(std::move(value));
}

NodeId Machine::Pop() {
  if (stack_.size() <= StackFloor()) Fail("the stack is empty at byte ", position_);
  const NodeId id = stack_.back();
  stack_.pop_back();
  return id;
}

NodeId Machine::Top() {
  const NodeId id = Pop();
  stack_.push_back(id);
  return id;
}

void Machine::Mark() {
  if (marks_.size() >= kMaxMarks) Fail("nested deeper than ", kMaxMarks);
  marks_.push_back(stack_.size());
}

std::vector<NodeId> Machine::PopToMark() {
  if (marks_.empty()) Fail("no mark at byte ", position_);
  std::vector<NodeId> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()),
                            stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return items;
}

std::vector<NodeId> Machine::PopMany(size_t count) {
  std::vector<NodeId> items(count);
  for (size_t i = count; i-- > 0;) items[i] = Pop();
  return items;
}

void Machine::AppendPairs(const std::vector<NodeId>& items) {
  if (items.size() % 2 != 0) Fail("a key without a value at byte ", position_);
  Append<Dict>(items, "a dict");
}

void Machine::Get(uint64_t key) {
  const auto found = memo_.find(key);
  if (found == memo_.end()) Fail("nothing was stored as ", key, " before byte ", position_);
  // Getting a value costs no node, so the stack has a limit of its own.
  if (stack_.size() >= kMaxNodes) Fail("more than ", kMaxNodes, " values");
  stack_.push_back(found->second);
}

// This copies, so the text must be short: a long one could be named again and again.
std::vector<NodeId> Machine::SmallTuple(NodeId id, const char* what) {
  constexpr size_t kMaxItems = 8;
  const std::vector<NodeId>& items = As<Tuple>(id, what).items;
  if (items.size() > kMaxItems) Fail(what, " has ", items.size(), " items at byte ", position_);
  return items;
}

void Machine::PushLong(std::string_view bytes) {
  if (bytes.size() > sizeof(int64_t)) return Push(BigInt{bytes});
  const bool negative = !bytes.empty() && static_cast<signed char>(bytes.back()) < 0;
  int64_t value = negative ? -1 : 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  Push(value);
}

void Machine::PushFloat() {
  const auto big_endian = Read<uint64_t>();
  Push(std::bit_cast<double>(__builtin_bswap64(big_endian)));
}

void Machine::PushText(uint64_t size) {
  const std::string_view text = Take(size);
  if (!IsValidUtf8(text)) Fail("a text at byte ", position_ - size, " is not UTF-8");
  Push(Text{text});
}

void Machine::PushString(uint64_t size) {
  const std::string_view bytes = Take(size);
  IsValidUtf8(bytes) ? Push(Text{bytes}) : Push(Binary{bytes});
}

void Machine::PushGlobal(std::string_view module, std::string_view name) {
  const std::optional<Global> global = FindGlobal(module, name);
  if (!global) {
    Fail("names ", Quoted(StrCat(module, ".", name)),
         ", which is not allowed: moefy reads tensors and runs no code out of a file. A file made "
         "by torch.save(model.state_dict(), path) has nothing but tensors in it");
  }
  Push(*global);
}

void Machine::Reduce() {
  const std::vector<NodeId> args = SmallTuple(Pop(), "a tuple of arguments");
  const Global function = As<Global>(Pop(), "something to call");
  const auto need = [&](bool ok) {
    if (!ok) Fail("a call with ", args.size(), " arguments before byte ", position_);
  };
  switch (function.kind) {
    case Global::kOrderedDict:
      need(args.size() <= 1);
      return PushOrderedDict(args);
    case Global::kRebuildTensor:  // storage, offset, size, stride, ...
      need(args.size() >= 4 && args.size() <= 7);
      return Push(Tensor{args[0], args[1], args[2], args[3], {}});
    case Global::kRebuildTensorV3:  // ..., requires_grad, hooks, dtype, metadata
      need(args.size() >= 7 && args.size() <= 8);
      return Push(Tensor{args[0], args[1], args[2], args[3], DTypeOf(args[6])});
    case Global::kRebuildParameter:  // data, requires_grad, hooks, state
      need(args.size() >= 3 && args.size() <= 4);
      As<Tensor>(args[0], "a parameter's tensor");
      return stack_.push_back(args[0]);
    case Global::kSize:
      need(args.size() == 1);
      As<Tuple>(args[0], "a size");
      return stack_.push_back(args[0]);
    case Global::kDevice:
      return Push(Opaque{});
    case Global::kStorage:
    case Global::kDType:
      Fail("a storage or dtype is called before byte ", position_);
  }
}

DType Machine::DTypeOf(NodeId id) {
  const Global& global = As<Global>(id, "a dtype");
  if (global.kind != Global::kDType) Fail("expected a dtype before byte ", position_);
  return *global.dtype;
}

// The arguments are none or, as Python 2 writes them, [[key, value], ...].
void Machine::PushOrderedDict(const std::vector<NodeId>& args) {
  Dict dict{{}, true};
  if (!args.empty()) {
    for (const NodeId pair : As<List>(args[0], "a list of pairs").items) {
      const auto* as_tuple = std::get_if<Tuple>(&pickle_[pair]);
      const auto& items = as_tuple ? as_tuple->items : As<List>(pair, "a pair").items;
      if (items.size() != 2) Fail("a pair of ", items.size(), " before byte ", position_);
      dict.items.insert(dict.items.end(), items.begin(), items.end());
      // One list may be named again and again, and only here are its contents copied.
      if (++num_copied_ > kMaxNodes) Fail("more than ", kMaxNodes, " values");
    }
  }
  Push(std::move(dict));
}

// The persistent id is ("storage", type, key, location, size). The old format adds a view or
// None.
void Machine::PushStorage() {
  const std::vector<NodeId> id = SmallTuple(Pop(), "a persistent id, a tuple");
  if (id.size() < 5 || id.size() > 6 || As<Text>(id[0], "a text").utf8 != "storage") {
    Fail("a persistent id before byte ", position_, " is not a storage");
  }
  const Global& type = As<Global>(id[1], "a storage type");
  if (type.kind != Global::kStorage) Fail("expected a storage type before byte ", position_);
  Storage storage;
  storage.dtype = type.dtype;
  storage.key = As<Text>(id[2], "a storage's key, a text").utf8;
  storage.root_elements = Unsigned(id[4]);
  storage.num_elements = storage.root_elements;
  if (id.size() == 6 && !std::holds_alternative<None>(pickle_[id[5]])) {
    const std::vector<NodeId>& view = As<Tuple>(id[5], "a storage view").items;
    if (view.size() != 3) Fail("a storage view before byte ", position_, " has no three fields");
    storage.view_begin = Unsigned(view[1]);
    storage.num_elements = Unsigned(view[2]);
    if (storage.view_begin > storage.root_elements ||
        storage.num_elements > storage.root_elements - storage.view_begin) {
      Fail("a view of ", storage.num_elements, " elements from ", storage.view_begin,
           " on is outside its storage of ", storage.root_elements);
    }
  }
  Push(storage);
}

uint64_t Machine::Unsigned(NodeId id) {
  const int64_t value = As<int64_t>(id, "a size, an integer");
  if (value < 0) Fail("a size before byte ", position_, " is ", value);
  return static_cast<uint64_t>(value);
}

void Machine::Build() {
  Pop();
  if (!As<Dict>(Top(), "an OrderedDict before BUILD").ordered) {
    Fail("BUILD of something that is not an OrderedDict, before byte ", position_);
  }
}

}  // namespace moefy::io::pickle
