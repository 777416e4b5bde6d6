// Pickles and zip archives as strings, opcode by opcode: what it takes to write bad ones. Good ones
// as Python's own pickler writes them are in tests/data/torch (tests/support/torch_save.py).
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::tests {

template <typename T>
std::string Raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

namespace pickled {

inline std::string Text(std::string_view text) {
  return "X" + Raw(static_cast<uint32_t>(text.size())) + std::string(text);
}
inline std::string Int(int32_t value) { return "J" + Raw(value); }
inline std::string Global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string Tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& item : items) out += item;
  return out + "t";
}
inline std::string Ints(const std::vector<int32_t>& values) {
  std::vector<std::string> items;
  for (const int32_t value : values) items.push_back(Int(value));
  return Tuple(items);
}
inline std::string Dict(const std::vector<std::string>& keys_and_values) {
  std::string out = "}(";
  for (const std::string& item : keys_and_values) out += item;
  return out + "u";
}
inline std::string Call(const std::string& function, const std::vector<std::string>& args) {
  return function + Tuple(args) + "R";
}
inline std::string Storage(const std::string& key, int32_t num_elements,
                           const std::string& type = "FloatStorage") {
  return Tuple(
             {Text("storage"), Global("torch", type), Text(key), Text("cpu"), Int(num_elements)}) +
         "Q";
}
inline std::string Tensor(const std::string& storage, const std::vector<int32_t>& shape,
                          const std::vector<int32_t>& strides, int32_t offset = 0) {
  return Call(Global("torch._utils", "_rebuild_tensor_v2"),
              {storage, Int(offset), Ints(shape), Ints(strides), "\x89",
               Call(Global("collections", "OrderedDict"), {})});
}
inline std::string Whole(const std::string& body) { return "\x80\x02" + body + "."; }

}  // namespace pickled

struct ZipEntry {
  std::string name;
  std::string data;
  // What lies about the entry, where it does.
  uint16_t flags = 0;
  uint16_t method = 0;
  int64_t stored_bytes_change = 0;
  std::string local_name = {};  // in the entry's own header
};

// An archive with plain 32-bit records.
inline std::string ZipBytes(const std::vector<ZipEntry>& entries) {
  std::string out, directory;
  for (const ZipEntry& entry : entries) {
    const std::string& name = entry.local_name.empty() ? entry.name : entry.local_name;
    const auto offset = static_cast<uint32_t>(out.size());
    const auto size = static_cast<uint32_t>(entry.data.size());
    const auto stored = static_cast<uint32_t>(size + entry.stored_bytes_change);
    out += "PK\x03\x04" + std::string(14, '\0') + Raw(stored) + Raw(size) +
           Raw(static_cast<uint16_t>(name.size())) + Raw(uint16_t{0}) + name + entry.data;
    directory += "PK\x01\x02" + std::string(4, '\0') + Raw(entry.flags) + Raw(entry.method) +
                 std::string(8, '\0') + Raw(stored) + Raw(size) +
                 Raw(static_cast<uint16_t>(entry.name.size())) + std::string(12, '\0') +
                 Raw(offset) + entry.name;
  }
  const auto count = static_cast<uint16_t>(entries.size());
  return out + directory + "PK\x05\x06" + std::string(4, '\0') + Raw(count) + Raw(count) +
         Raw(static_cast<uint32_t>(directory.size())) + Raw(static_cast<uint32_t>(out.size())) +
         Raw(uint16_t{0});
}

// A file of torch.save: this pickle, and one storage "0" of `storage` bytes.
inline std::string TorchBytes(const std::string& pickle, const std::string& storage) {
  return ZipBytes({{"archive/data.pkl", pickle}, {"archive/data/0", storage}});
}

}  // namespace moefy::tests
