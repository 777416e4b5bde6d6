// What a pickle's opcodes work on: the bytes, a stack of values, marks on it and a memo.
// io/pickle.cpp says which opcode does what. Everything has a limit, so that a damaged or hostile
// file costs no more memory and time than its length allows. One owner at a time; whatever is
// malformed throws Error{kInput}.
#pragma once

#include <cstring>
#include <unordered_map>

#include "io/pickle.h"
#include "moefy/base/error.h"

namespace moefy::io::pickle {

template <typename... Parts>
[[noreturn]] void Fail(const Parts&... parts) {
  throw InputError("pickle: ", parts...);
}

class Machine {
 public:
  explicit Machine(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t position() const { return position_; }  // behind the bytes that were taken
  void SetRoot(NodeId id) { pickle_.root = id; }
  Pickle TakePickle() { return std::move(pickle_); }

  std::string_view Take(uint64_t size);
  std::string_view TakeLine();
  template <typename T>
  T Read() {
    T value;
    std::memcpy(&value, Take(sizeof value).data(), sizeof value);
    return value;
  }

  void Push(Value value);
  void PushLong(std::string_view bytes);
  void PushFloat();
  void PushText(uint64_t size);
  // Python 2 makes no difference between text and bytes.
  void PushString(uint64_t size);
  void PushGlobal(std::string_view module, std::string_view name);
  // Replaces a persistent id by the storage that it names.
  void PushStorage();

  NodeId Pop();
  std::vector<NodeId> PopMany(size_t count);
  void Mark();
  std::vector<NodeId> PopToMark();
  // The value, which must be a T; `what` names that for people.
  template <typename T>
  T& As(NodeId id, const char* what) {
    T* value = std::get_if<T>(&pickle_.nodes[id]);
    if (!value) Fail("expected ", what, " at byte ", position_);
    return *value;
  }

  // Appends to the container on top of the stack.
  template <typename Container>
  void Append(const std::vector<NodeId>& items, const char* what) {
    auto& target = As<Container>(Top(), what).items;
    target.insert(target.end(), items.begin(), items.end());
  }
  void AppendPairs(const std::vector<NodeId>& items);

  void Put(uint64_t key) { memo_[key] = Top(); }
  void Memoize() { Put(memo_.size()); }
  void Get(uint64_t key);

  // "Calls" a global that is allowed, which only makes a value.
  void Reduce();
  // Takes the state of an OrderedDict off, its attributes, of which only _metadata is in use.
  void Build();

 private:
  NodeId Top();
  size_t StackFloor() const { return marks_.empty() ? 0 : marks_.back(); }
  std::vector<NodeId> SmallTuple(NodeId id, const char* what);
  uint64_t Unsigned(NodeId id);
  DType DTypeOf(NodeId id);
  void PushOrderedDict(const std::vector<NodeId>& args);

  std::span<const std::byte> bytes_;
  size_t position_ = 0;
  Pickle pickle_;
  uint64_t num_copied_ = 0;
  std::vector<NodeId> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, NodeId> memo_;
};

}  // namespace moefy::io::pickle
