#include "runtime/weight_tiles.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "moefy/base/error.h"
#include "runtime/quantize.h"

namespace moefy::runtime {
namespace {

// Puts the largest absolute value / 127 of each row of a tile into `scales`, and its inverse into
// `inverse`.
void MeasureRows(const MatrixView& from, int64_t first, int64_t width, int64_t columns,
                 float* scales, float* inverse) {
  float largest[kTileNeurons] = {};
  const auto see = [&](int64_t n, int64_t i) {
    largest[n] = std::max(largest[n], std::abs(from(first + n, i)));
  };
  if (from.row < from.column) {
    for (int64_t i = 0; i < columns; ++i) {
      for (int64_t n = 0; n < width; ++n) see(n, i);
    }
  } else {
    for (int64_t n = 0; n < width; ++n) {
      for (int64_t i = 0; i < columns; ++i) see(n, i);
    }
  }
  for (int64_t n = 0; n < width; ++n) {
    scales[n] = largest[n] / 127.0f;
    inverse[n] = largest[n] > 0 ? 127.0f / largest[n] : 0.0f;
  }
}

template <class T>
void TransposeBlocks(const MatrixView& from, int64_t first, int64_t width, int64_t columns, T* to) {
  for (int64_t begin = 0; begin < width; begin += kBlockNeurons) {
    const int64_t end = std::min(width, begin + kBlockNeurons);
    for (int64_t i = 0; i < columns; ++i) {
      for (int64_t n = begin; n < end; ++n) *to++ = static_cast<T>(from(first + n, i));
    }
  }
}

void TransposeInt8(const MatrixView& from, int64_t first, int64_t width, int64_t columns,
                   const float* inverse, uint8_t* to) {
  for (int64_t begin = 0; begin < width; begin += kBlockNeurons) {
    const int64_t end = std::min(width, begin + kBlockNeurons);
    for (int64_t i = 0; i < columns; i += kQuad) {
      for (int64_t n = begin; n < end; ++n) {
        for (int64_t k = i; k < i + kQuad; ++k) {
          *to++ = StoredInt8(k < columns ? from(first + n, k) : 0.0f, inverse[n]);
        }
      }
    }
  }
}

// A group of weights in 4 bits.
struct Int4Codes {
  uint8_t code[kInt4Group] = {};
  at::Half scale = 0, minimum = 0;
};

// The codes that represent `count` weights best (least squares): candidates are ranges somewhat
// narrower than from the least to the largest weight; each one's codes are given the scale and
// minimum that fit them best.
Int4Codes FitInt4(const float* w, int64_t count) {
  constexpr float kNarrower[] = {0.0f, 0.02f, 0.04f, 0.06f, 0.09f, 0.12f, 0.16f};
  const auto [least, most] = std::minmax_element(w, w + count);
  const float low = *least, range = *most - *least;
  Int4Codes best;
  double best_error = std::numeric_limits<double>::infinity();
  for (const float narrower : kNarrower) {
    const float step = range * (1 - narrower) / 15, start = low + range * narrower / 2;
    double sum_c = 0, sum_cc = 0, sum_w = 0, sum_cw = 0;
    Int4Codes made;
    for (int64_t i = 0; i < count; ++i) {
      const float code = step > 0 ? std::nearbyint((w[i] - start) / step) : 0.0f;
      made.code[i] = static_cast<uint8_t>(std::clamp(code, 0.0f, 15.0f));
      const double c = made.code[i], value = static_cast<double>(w[i]);
      sum_c += c;
      sum_cc += c * c;
      sum_w += value;
      sum_cw += c * value;
    }
    const auto n = static_cast<double>(count);
    const double spread = n * sum_cc - sum_c * sum_c;
    const double scale = spread > 0 ? (n * sum_cw - sum_c * sum_w) / spread : 0;
    made.scale = static_cast<float>(scale);
    const auto held_scale = static_cast<double>(static_cast<float>(made.scale));
    made.minimum = static_cast<float>((sum_w - held_scale * sum_c) / n);
    double error = 0;
    for (int64_t i = 0; i < count; ++i) {
      const float held = static_cast<float>(made.code[i]) * static_cast<float>(made.scale) +
                         static_cast<float>(made.minimum);
      error += static_cast<double>((held - w[i]) * (held - w[i]));
    }
    if (!(error < best_error)) continue;
    best_error = error;
    best = made;
  }
  return best;
}

void TransposeInt4(const MatrixView& from, int64_t first, int64_t width, int64_t columns,
                   std::byte* to) {
  for (int64_t begin = 0; begin < width; begin += kBlockNeurons) {
    const int64_t block = std::min(kBlockNeurons, width - begin);
    for (int64_t i = 0; i < columns; i += kInt4Group, to += block * kInt4GroupBytes) {
      auto* const scales = reinterpret_cast<at::Half*>(to + block * kInt4Group / 2);
      const int64_t count = std::min(kInt4Group, columns - i);
      for (int64_t n = 0; n < block; ++n) {
        float w[kInt4Group];
        for (int64_t k = 0; k < count; ++k) w[k] = from(first + begin + n, i + k);
        const Int4Codes group = FitInt4(w, count);
        scales[n] = group.scale;
        scales[block + n] = group.minimum;
        for (int64_t p = 0; p < 4; ++p) {
          for (int64_t j = 0; j < 4; ++j) {
            const int low = group.code[4 * p + j], high = group.code[16 + 4 * p + j];
            to[(p * block + n) * 4 + j] = static_cast<std::byte>(low | high << 4);
          }
        }
      }
    }
  }
}

}  // namespace

int64_t TileRowBytes(WeightFormat format, int64_t columns) {
  switch (format) {
    case WeightFormat::kInt8:
      return QuantizedSize(columns);
    case WeightFormat::kInt4:
      return (columns + kInt4Group - 1) / kInt4Group * kInt4GroupBytes;
    default:
      return columns * BytesPerWeight(format);
  }
}

uint8_t StoredInt8(float value, float inverse_scale) {
  const float scaled = std::nearbyint(value * inverse_scale);
  const float rounded = std::isnan(scaled) ? 0 : std::clamp(scaled, -127.0f, 127.0f);
  return static_cast<uint8_t>(static_cast<int>(rounded) + 128);
}

void PackTile(const MatrixView& from, int64_t first, int64_t width, int64_t columns,
              WeightFormat format, float* scales, std::byte* to) {
  switch (format) {
    case WeightFormat::kF32:
      return TransposeBlocks(from, first, width, columns, reinterpret_cast<float*>(to));
    case WeightFormat::kBf16:
      return TransposeBlocks(from, first, width, columns, reinterpret_cast<at::BFloat16*>(to));
    case WeightFormat::kF16:
      return TransposeBlocks(from, first, width, columns, reinterpret_cast<at::Half*>(to));
    case WeightFormat::kInt8: {
      float inverse[kTileNeurons];
      MeasureRows(from, first, width, columns, scales, inverse);
      return TransposeInt8(from, first, width, columns, inverse, reinterpret_cast<uint8_t*>(to));
    }
    case WeightFormat::kInt4:
      return TransposeInt4(from, first, width, columns, to);
  }
}

void PackTiles(const at::Tensor& w, WeightFormat format, float* scales, std::byte* to) {
  const MatrixView from(w);
  const int64_t rows = w.size(0), columns = w.size(1), row_bytes = TileRowBytes(format, columns);
  const int64_t tiles = (rows + kTileNeurons - 1) / kTileNeurons;
  at::parallel_for(0, tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t n = tile * kTileNeurons;
      PackTile(from, n, std::min(kTileNeurons, rows - n), columns, format,
               scales ? scales + n : nullptr, to + n * row_bytes);
    }
  });
}

LinearTiles PackLinearTiles(const at::Tensor& weight, WeightFormat format, const PackedSlot& slot) {
  LinearTiles packed;
  packed.out = weight.size(0);
  packed.in = weight.size(1);
  packed.format = format;
  WeightArena arena;
  const int64_t w = arena.Reserve(packed.out * TileRowBytes(format, packed.in));
  const bool scaled = format == WeightFormat::kInt8;
  const int64_t scale = scaled ? arena.Reserve(packed.out * int64_t{sizeof(float)}) : 0;
  const PackedBytes created = arena.Create(slot);
  packed.storage = created.memory;
  packed.bytes = arena.bytes();
  auto* const bytes = static_cast<std::byte*>(packed.storage.get());
  auto* const scales = scaled ? reinterpret_cast<float*>(bytes + scale) : nullptr;
  if (!created.is_filled) PackTiles(weight, format, scales, bytes + w);
  packed.w = bytes + w;
  packed.scale = scales;
  return packed;
}

}  // namespace moefy::runtime
