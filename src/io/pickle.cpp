#include "io/pickle.h"

#include <bit>
#include <cstring>
#include <unordered_map>

#include "io/pickle_names.h"
#include "moefy/base/error.h"

namespace moefy::io::pickle {
namespace {

constexpr uint64_t kMaxNodes = 1 << 22;  // a checkpoint needs some twenty per tensor
constexpr size_t kMaxMarks = 1000;       // tuples in tuples in ...
constexpr int kMaxProtocol = 5;

template <typename... Parts>
[[noreturn]] void Fail(const Parts&... parts) {
  throw InputError("pickle: ", parts...);
}

class Interpreter {
 public:
  explicit Interpreter(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Pickle Run() {
    while (Step()) {
    }
    return std::move(pickle_);
  }
  size_t position() const { return position_; }

 private:
  // --- bytes ---
  std::string_view Take(uint64_t size) {
    if (size > bytes_.size() - position_) {
      Fail(size, " bytes are wanted at byte ", position_, " of ", bytes_.size(),
           ": it is cut short or damaged");
    }
    const char* begin = reinterpret_cast<const char*>(bytes_.data()) + position_;
    position_ += size;
    return {begin, static_cast<size_t>(size)};
  }
  template <typename T>
  T Read() {
    T value;
    std::memcpy(&value, Take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view TakeLine() {
    constexpr uint64_t kMaxBytes = 1000;
    const size_t begin = position_;
    while (Read<char>() != '\n') {
      if (position_ - begin > kMaxBytes) Fail("a global's name at byte ", begin, " never ends");
    }
    return {reinterpret_cast<const char*>(bytes_.data()) + begin, position_ - begin - 1};
  }

  // --- values ---
  void Push(Value value) {
    if (pickle_.nodes.size() >= kMaxNodes) Fail("more than ", kMaxNodes, " values");
    stack_.push_back(static_cast<NodeId>(pickle_.nodes.size()));
    pickle_.nodes.push_back(std::move(value));
  }
  NodeId Pop() {
    if (stack_.size() <= StackFloor()) Fail("the stack is empty at byte ", position_);
    const NodeId id = stack_.back();
    stack_.pop_back();
    return id;
  }
  NodeId Top() {
    const NodeId id = Pop();
    stack_.push_back(id);
    return id;
  }
  size_t StackFloor() const { return marks_.empty() ? 0 : marks_.back(); }
  std::vector<NodeId> PopToMark() {
    if (marks_.empty()) Fail("no mark at byte ", position_);
    std::vector<NodeId> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()),
                              stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  std::vector<NodeId> PopMany(size_t count) {
    std::vector<NodeId> items(count);
    for (size_t i = count; i-- > 0;) items[i] = Pop();
    return items;
  }
  template <typename T>
  T& As(NodeId id, const char* what) {
    T* value = std::get_if<T>(&pickle_.nodes[id]);
    if (!value) Fail("expected ", what, " at byte ", position_);
    return *value;
  }
  template <typename Container>
  void Append(const std::vector<NodeId>& items, const char* what) {
    auto& target = As<Container>(Top(), what).items;
    target.insert(target.end(), items.begin(), items.end());
  }
  void AppendPairs(const std::vector<NodeId>& items) {
    if (items.size() % 2 != 0) Fail("a key without a value at byte ", position_);
    Append<Dict>(items, "a dict");
  }

  void Put(uint64_t key) { memo_[key] = Top(); }
  void Get(uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) Fail("nothing was stored as ", key, " before byte ", position_);
    // Getting a value costs no node, so the stack has a limit of its own.
    if (stack_.size() >= kMaxNodes) Fail("more than ", kMaxNodes, " values");
    stack_.push_back(found->second);
  }

  // This copies, so the text must be short: a long one could be named again and again.
  std::vector<NodeId> SmallTuple(NodeId id, const char* what) {
    constexpr size_t kMaxItems = 8;
    const std::vector<NodeId>& items = As<Tuple>(id, what).items;
    if (items.size() > kMaxItems) Fail(what, " has ", items.size(), " items at byte ", position_);
    return items;
  }

  void PushLong(std::string_view bytes) {
    if (bytes.size() > sizeof(int64_t)) return Push(BigInt{bytes});
    const bool negative = !bytes.empty() && static_cast<signed char>(bytes.back()) < 0;
    int64_t value = negative ? -1 : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    Push(value);
  }
  void PushFloat() {
    const auto big_endian = Read<uint64_t>();
    Push(std::bit_cast<double>(__builtin_bswap64(big_endian)));
  }
  void PushText(uint64_t size) {
    const std::string_view text = Take(size);
    if (!IsValidUtf8(text)) Fail("a text at byte ", position_ - size, " is not UTF-8");
    Push(Text{text});
  }
  // Python 2 makes no difference between text and bytes.
  void PushString(uint64_t size) {
    const std::string_view bytes = Take(size);
    IsValidUtf8(bytes) ? Push(Text{bytes}) : Push(Binary{bytes});
  }
  void PushGlobal(std::string_view module, std::string_view name) {
    const std::optional<Global> global = FindGlobal(module, name);
    if (!global) {
      Fail(
          "names ", Quoted(StrCat(module, ".", name)),
          ", which is not allowed: moefy reads tensors and runs no code out of a file. A file made "
          "by torch.save(model.state_dict(), path) has nothing but tensors in it");
    }
    Push(*global);
  }

  // --- calls ---
  void Reduce() {
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
  DType DTypeOf(NodeId id) {
    const Global& global = As<Global>(id, "a dtype");
    if (global.kind != Global::kDType) Fail("expected a dtype before byte ", position_);
    return *global.dtype;
  }
  // OrderedDict(), or as Python 2 has it, OrderedDict([[key, value], ...]).
  void PushOrderedDict(const std::vector<NodeId>& args) {
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
  // ("storage", type, key, location, size), and in the old format a view or None.
  void PushStorage() {
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
  uint64_t Unsigned(NodeId id) {
    const int64_t value = As<int64_t>(id, "a size, an integer");
    if (value < 0) Fail("a size before byte ", position_, " is ", value);
    return static_cast<uint64_t>(value);
  }
  // The state of an OrderedDict is its attributes, of which _metadata is the only one in use.
  void Build() {
    Pop();
    if (!As<Dict>(Top(), "an OrderedDict before BUILD").ordered) {
      Fail("BUILD of something that is not an OrderedDict, before byte ", position_);
    }
  }

  bool Step();

  std::span<const std::byte> bytes_;
  size_t position_ = 0;
  Pickle pickle_;
  uint64_t num_copied_ = 0;
  std::vector<NodeId> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, NodeId> memo_;
};

// One opcode; false after the last.
bool Interpreter::Step() {
  const auto opcode = Read<uint8_t>();
  switch (opcode) {
    case 0x80:  // PROTO
      if (const int protocol = Read<uint8_t>(); protocol < 2 || protocol > kMaxProtocol) {
        Fail("protocol is ", protocol, "; expected 2 to ", kMaxProtocol);
      }
      break;
    case 0x95:  // FRAME: a hint for readers of streams
      Read<uint64_t>();
      break;
    case '.':  // STOP
      pickle_.root = Pop();
      return false;
    case '(':  // MARK
      if (marks_.size() >= kMaxMarks) Fail("nested deeper than ", kMaxMarks);
      marks_.push_back(stack_.size());
      break;

    case 'N':  // NONE
      Push(None{});
      break;
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      Push(opcode == 0x88);
      break;
    case 'J':  // BININT
      Push(int64_t{Read<int32_t>()});
      break;
    case 'K':  // BININT1
      Push(int64_t{Read<uint8_t>()});
      break;
    case 'M':  // BININT2
      Push(int64_t{Read<uint16_t>()});
      break;
    case 0x8a:  // LONG1
      PushLong(Take(Read<uint8_t>()));
      break;
    case 0x8b:  // LONG4
      PushLong(Take(Read<uint32_t>()));
      break;
    case 'G':  // BINFLOAT
      PushFloat();
      break;
    case 'X':  // BINUNICODE
      PushText(Read<uint32_t>());
      break;
    case 0x8c:  // SHORT_BINUNICODE
      PushText(Read<uint8_t>());
      break;
    case 0x8d:  // BINUNICODE8
      PushText(Read<uint64_t>());
      break;
    case 'T':  // BINSTRING
      PushString(Read<uint32_t>());
      break;
    case 'U':  // SHORT_BINSTRING
      PushString(Read<uint8_t>());
      break;
    case 'B':  // BINBYTES
      Push(Binary{Take(Read<uint32_t>())});
      break;
    case 'C':  // SHORT_BINBYTES
      Push(Binary{Take(Read<uint8_t>())});
      break;
    case 0x8e:  // BINBYTES8
      Push(Binary{Take(Read<uint64_t>())});
      break;

    case ')':  // EMPTY_TUPLE
      Push(Tuple{});
      break;
    case 't':  // TUPLE
      Push(Tuple{PopToMark()});
      break;
    case 0x85:  // TUPLE1
    case 0x86:  // TUPLE2
    case 0x87:  // TUPLE3
      Push(Tuple{PopMany(static_cast<size_t>(opcode - 0x84))});
      break;
    case ']':  // EMPTY_LIST
      Push(List{});
      break;
    case 'l':  // LIST
      Push(List{PopToMark()});
      break;
    case 'a':  // APPEND
      Append<List>(PopMany(1), "a list");
      break;
    case 'e':  // APPENDS
      Append<List>(PopToMark(), "a list");
      break;
    case '}':  // EMPTY_DICT
      Push(Dict{});
      break;
    case 's':  // SETITEM
      AppendPairs(PopMany(2));
      break;
    case 'u':  // SETITEMS
      AppendPairs(PopToMark());
      break;

    case 'q':  // BINPUT
      Put(Read<uint8_t>());
      break;
    case 'r':  // LONG_BINPUT
      Put(Read<uint32_t>());
      break;
    case 0x94:  // MEMOIZE
      Put(memo_.size());
      break;
    case 'h':  // BINGET
      Get(Read<uint8_t>());
      break;
    case 'j':  // LONG_BINGET
      Get(Read<uint32_t>());
      break;

    case 'c': {  // GLOBAL
      const std::string_view module = TakeLine();
      PushGlobal(module, TakeLine());
      break;
    }
    case 0x93: {  // STACK_GLOBAL
      const std::string_view name = As<Text>(Pop(), "a global's name").utf8;
      PushGlobal(As<Text>(Pop(), "a global's module").utf8, name);
      break;
    }
    case 'R':  // REDUCE
      Reduce();
      break;
    case 'b':  // BUILD
      Build();
      break;
    case 'Q':  // BINPERSID
      PushStorage();
      break;
    default:
      Fail("opcode ", OpcodeName(opcode), " at byte ", position_ - 1,
           " is not allowed: tensors do not need it");
  }
  return true;
}

}  // namespace

Pickle Parse(std::span<const std::byte>& bytes) {
  Interpreter interpreter(bytes);
  Pickle pickle = interpreter.Run();
  bytes = bytes.subspan(interpreter.position());
  return pickle;
}

}  // namespace moefy::io::pickle
