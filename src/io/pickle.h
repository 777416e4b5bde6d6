// A restricted interpreter of Python pickles, for what torch.save writes. It executes nothing:
// opcodes and globals are whitelisted, calls only make the values below, and memory and time are
// linear in the length of the pickle. Pure function.
// Source: Python's pickletools, protocols 2 to 5; torch/_utils.py for the globals.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "moefy/io/tensor_info.h"

namespace moefy::io::pickle {

using NodeId = uint32_t;  // index into Pickle::nodes

struct None {};
struct BigInt {  // over 64 bits: two's complement, little-endian
  std::string_view bytes;
};
struct Text {
  std::string_view utf8;
};
struct Binary {
  std::string_view bytes;
};
struct Tuple {
  std::vector<NodeId> items;
};
struct List {
  std::vector<NodeId> items;
};
struct Dict {
  std::vector<NodeId> items;  // key, value, key, value, ...
  bool ordered = false;       // a collections.OrderedDict
};
// A Python name that is allowed.
struct Global {
  enum Kind : uint8_t {
    kOrderedDict,
    kRebuildTensor,  // and its later versions
    kRebuildTensorV3,
    kRebuildParameter,
    kSize,
    kDevice,
    kStorage,  // typed by `dtype`, or of bytes without
    kDType,
  };
  Kind kind;
  std::optional<DType> dtype;
};
// A persistent id: bytes that lie elsewhere in the file.
struct Storage {
  std::string_view key;
  std::optional<DType> dtype;  // absent: untyped
  uint64_t num_elements = 0;   // bytes when untyped
  uint64_t view_begin = 0;     // of an old kind of view, in elements
  uint64_t root_elements = 0;  // of the storage that it is a view of
};
struct Tensor {
  NodeId storage, offset, shape, strides;
  std::optional<DType> dtype;  // where it is not the storage's
};
struct Opaque {};  // a value nobody needs, such as a torch.device

using Value = std::variant<None, bool, int64_t, double, BigInt, Text, Binary, Tuple, List, Dict,
                           Global, Storage, Tensor, Opaque>;

// Values refer to each other by index, so nothing is copied, cycles do no harm, and depth needs no
// recursion. Texts point into the bytes that were parsed.
struct Pickle {
  std::vector<Value> nodes;
  NodeId root = 0;

  const Value& operator[](NodeId id) const { return nodes[id]; }
};

// Reads one pickle from the front of `bytes` and takes it off. Throws Error{kInput} naming what is
// not allowed, or where the pickle is malformed.
Pickle Parse(std::span<const std::byte>& bytes);

}  // namespace moefy::io::pickle
