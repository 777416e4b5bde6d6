// Just enough of the protobuf wire format to read one message type: a bounds-checked walk over the
// fields of a message. Thread-safety: values.
// Format: https://protobuf.dev/programming-guides/encoding.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include "moefy/base/error.h"

namespace moefy::text {

class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view message) : rest_(message) {}

  // Steps to the next field; false at the end. Throws Error{kInput} on anything malformed.
  bool Next() {
    if (rest_.empty()) return false;
    const uint64_t tag = Varint();
    if (tag >> 3 == 0 || tag >> 32 != 0) throw InputError("a field number out of range");
    field_ = static_cast<uint32_t>(tag >> 3);
    type_ = static_cast<WireType>(tag & 7);
    switch (type_) {
      case WireType::kVarint:
        number_ = Varint();
        break;
      case WireType::kFixed64:
        bytes_ = Take(8);
        break;
      case WireType::kBytes:
        bytes_ = Take(Varint());
        break;
      case WireType::kFixed32:
        bytes_ = Take(4);
        break;
      default:
        throw InputError("field ", field_, " has unknown wire type ", tag & 7);
    }
    return true;
  }

  uint32_t field() const { return field_; }
  uint64_t GetVarint() const { return Expect(WireType::kVarint), number_; }
  bool GetBool() const { return GetVarint() != 0; }
  std::string_view GetBytes() const { return Expect(WireType::kBytes), bytes_; }
  float GetFloat() const {
    Expect(WireType::kFixed32);
    uint32_t bits = 0;
    for (int i = 3; i >= 0; --i) bits = bits << 8 | static_cast<unsigned char>(bytes_[i]);
    return std::bit_cast<float>(bits);
  }

 private:
  enum class WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  void Expect(WireType type) const {
    if (type_ != type) {
      throw InputError("field ", field_, " has wire type ", static_cast<int>(type_), "; expected ",
                       static_cast<int>(type));
    }
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(Take(1)[0]);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    throw InputError("a number is longer than 10 bytes");
  }
  std::string_view Take(uint64_t num_bytes) {
    if (num_bytes > rest_.size()) {
      throw InputError("cut short: ", num_bytes, " bytes wanted, ", rest_.size(), " left");
    }
    const std::string_view taken = rest_.substr(0, num_bytes);
    rest_.remove_prefix(num_bytes);
    return taken;
  }

  std::string_view rest_;
  uint32_t field_ = 0;
  WireType type_ = WireType::kVarint;
  uint64_t number_ = 0;
  std::string_view bytes_;
};

}  // namespace moefy::text
