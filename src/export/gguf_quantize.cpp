#include "export/gguf_quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace moefy::exports {
namespace {

constexpr int kBlockValues = 32;

// Stores a scale as F16 in front of a block and returns 1 over the scale that it was made from.
float StoreScale(float scale, std::byte* out) {
  const c10::Half half(scale);
  std::memcpy(out, &half, sizeof(half));
  return scale != 0 ? 1 / scale : 0;
}

void EncodeQ8(const float* values, std::byte* out) {
  float largest = 0;
  for (int i = 0; i < kBlockValues; ++i) largest = std::max(largest, std::abs(values[i]));
  const float inverse = StoreScale(largest / 127, out);
  for (int i = 0; i < kBlockValues; ++i) {
    const auto level = static_cast<int8_t>(std::round(values[i] * inverse));
    out[2 + i] = static_cast<std::byte>(level);
  }
}

void EncodeQ4(const float* values, std::byte* out) {
  float largest = 0;  // with its sign
  for (int i = 0; i < kBlockValues; ++i) {
    if (std::abs(values[i]) > std::abs(largest)) largest = values[i];
  }
  const float inverse = StoreScale(largest / -8, out);
  const auto level = [&](float value) {
    return static_cast<unsigned>(std::clamp(static_cast<int>(value * inverse + 8.5F), 0, 15));
  };
  for (int i = 0; i < kBlockValues / 2; ++i) {
    out[2 + i] =
        static_cast<std::byte>(level(values[i]) | (level(values[i + kBlockValues / 2]) << 4U));
  }
}

}  // namespace

std::vector<std::byte> GgufEncode(const at::Tensor& values, GgufType type) {
  const at::Tensor held =
      (type == GgufType::kF16 ? values.to(at::kHalf) : values.to(at::kFloat)).contiguous();
  std::vector<std::byte> out(GgufBytes({"", held.sizes().vec(), type}));
  if (type == GgufType::kF32 || type == GgufType::kF16) {
    std::memcpy(out.data(), held.data_ptr(), out.size());
    return out;
  }
  const auto encode = type == GgufType::kQ8_0 ? EncodeQ8 : EncodeQ4;
  const int64_t blocks = held.numel() / kBlockValues;
  const size_t block_bytes = blocks > 0 ? out.size() / static_cast<size_t>(blocks) : 0;
  const float* from = held.data_ptr<float>();
  for (int64_t i = 0; i < blocks; ++i) {
    encode(from + i * kBlockValues, out.data() + static_cast<size_t>(i) * block_bytes);
  }
  return out;
}

}  // namespace moefy::exports
