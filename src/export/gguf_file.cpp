#include "export/gguf_file.h"

#include <bit>
#include <cstring>

#include "moefy/base/error.h"

namespace moefy::exports {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is written as memory has it");

constexpr uint64_t kAlignment = 32;
constexpr int64_t kBlock = 32;

// The header under construction.
class Header {
 public:
  template <typename T>
  void Add(T value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(value));
  }
  void AddText(const std::string& text) {
    Add<uint64_t>(text.size());
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    bytes_.insert(bytes_.end(), bytes, bytes + text.size());
  }

  // The number of a type comes before a value, and that of its elements in an array.
  void AddValue(uint32_t value) { AddTyped(4, value); }
  void AddValue(int32_t value) { AddTyped(5, value); }
  void AddValue(float value) { AddTyped(6, value); }
  void AddValue(bool value) { AddTyped(7, static_cast<uint8_t>(value)); }
  void AddValue(const std::string& value) {
    Add<uint32_t>(kText);
    AddText(value);
  }
  void AddValue(const std::vector<std::string>& values) {
    AddArray(kText, values.size());
    for (const std::string& value : values) AddText(value);
  }
  void AddValue(const std::vector<int32_t>& values) {
    AddArray(5, values.size());
    for (const int32_t value : values) Add(value);
  }

  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  static constexpr uint32_t kText = 8, kArray = 9;
  template <typename T>
  void AddTyped(uint32_t type, T value) {
    Add(type);
    Add(value);
  }
  void AddArray(uint32_t type, uint64_t size) {
    Add(kArray);
    Add(type);
    Add(size);
  }
  std::vector<std::byte> bytes_;
};

uint64_t Padded(uint64_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

uint64_t GgufBytes(const GgufTensor& tensor) {
  uint64_t values = 1;
  for (const int64_t extent : tensor.shape) values *= static_cast<uint64_t>(extent);
  constexpr uint64_t kScale = 2;  // bytes of a block's scale
  switch (tensor.type) {
    case GgufType::kF32:
      return 4 * values;
    case GgufType::kF16:
      return 2 * values;
    case GgufType::kQ8_0:
      return values / kBlock * (kScale + kBlock);
    case GgufType::kQ4_0:
      return values / kBlock * (kScale + kBlock / 2);
  }
  return 0;
}

GgufWriter::GgufWriter(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, GgufValue>>& metadata,
                       std::vector<GgufTensor> tensors)
    : file_(File::Create(path)), tensors_(std::move(tensors)) {
  constexpr uint32_t kMagic = 0x46554747, kVersion = 3;  // "GGUF"
  Header header;
  header.Add(kMagic);
  header.Add(kVersion);
  header.Add<uint64_t>(tensors_.size());
  header.Add<uint64_t>(metadata.size());
  for (const auto& [key, value] : metadata) {
    header.AddText(key);
    std::visit([&](const auto& held) { header.AddValue(held); }, value);
  }
  uint64_t offset = 0;
  for (const GgufTensor& tensor : tensors_) {
    const bool blocks = tensor.type == GgufType::kQ8_0 || tensor.type == GgufType::kQ4_0;
    MOEFY_CHECK(!blocks || tensor.shape.back() % kBlock == 0);
    header.AddText(tensor.name);
    header.Add<uint32_t>(static_cast<uint32_t>(tensor.shape.size()));
    for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent) {
      header.Add<uint64_t>(static_cast<uint64_t>(*extent));
    }
    header.Add(static_cast<uint32_t>(tensor.type));
    header.Add(offset);
    offset += Padded(GgufBytes(tensor));
  }
  file_.WriteAt(0, header.bytes());
  position_ = header.bytes().size();
  Pad();
}

void GgufWriter::Write(std::span<const std::byte> bytes) {
  MOEFY_CHECK(next_ < tensors_.size() && bytes.size() == GgufBytes(tensors_[next_]));
  ++next_;
  file_.WriteAt(position_, bytes);
  position_ += bytes.size();
  Pad();
}

void GgufWriter::Finish() {
  MOEFY_CHECK(next_ == tensors_.size());
  file_.Sync();
}

void GgufWriter::Pad() {
  const std::vector<std::byte> zeros(Padded(position_) - position_);
  if (!zeros.empty()) file_.WriteAt(position_, zeros);
  position_ += zeros.size();
}

}  // namespace moefy::exports
