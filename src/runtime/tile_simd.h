// The sums of a tile of neurons: x W^T for some rows of x, as many sums in registers as there is
// room for. How weights are stored is the Operand's business:
//   static constexpr int kRows, kVectors   the sums of one Multiply, in registers beside operands
//   static constexpr int kFullSums         up to so many, a whole tile is taken at once: one row
//                                          alone would wait for its sums
//   using Weight                           what W is stored as, in blocks of up to kBlockNeurons
//                                          neurons
//   int64_t block_stride                   Weights from one whole block to the next
//   Multiply<kRows, kVectors>(w, width, neuron, out, out_stride)
// Vector v of Multiply is at `neuron` + v * kLanes of the block at w, `width` wide, or of the next
// block (both of full width then).
// Compiled once per instruction set (Highway's pattern: the guard toggles).
#if defined(MOEFY_RUNTIME_TILE_SIMD_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOEFY_RUNTIME_TILE_SIMD_H_
#undef MOEFY_RUNTIME_TILE_SIMD_H_
#else
#define MOEFY_RUNTIME_TILE_SIMD_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "runtime/expert_weights.h"
#include "runtime/int8_simd.h"
#include "runtime/quantize.h"
#include "runtime/weight_tiles.h"
#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int kFullVectors = static_cast<int>(kTileNeurons / kLanes);  // of a whole tile
constexpr int kPerBlock = static_cast<int>(kBlockNeurons / kLanes);    // vectors of a block
constexpr int64_t kPrefetchBytes = 2048;  // how far ahead weights are fetched

// Weights that are widened to F32, [hidden][block width] in a block.
template <class T>
struct FloatOperand {
#if HWY_TARGET <= HWY_AVX3
  static constexpr int kRows = 12, kVectors = 2, kFullSums = 24;  // 32 registers
#elif HWY_TARGET == HWY_NEON
  static constexpr int kRows = 6, kVectors = 4, kFullSums = 24;
#elif HWY_TARGET == HWY_AVX2
  static constexpr int kRows = 6, kVectors = 2, kFullSums = 8;  // 16 registers
#else
  static constexpr int kRows = 3, kVectors = 4, kFullSums = 8;
#endif
  using Weight = T;

  const float* x[kRows];
  int64_t length;  // hidden
  int64_t block_stride;
  void SetLength(int64_t hidden) {
    length = hidden;
    block_stride = hidden * kBlockNeurons;
  }

  template <int kSumRows, int kSumVectors>
  HWY_INLINE void Multiply(const T* w, int64_t width, int64_t neuron, float* out,
                           int64_t out_stride) const {
    const Tag d;
    const int64_t next_block = block_stride;
    Vector sum[kSumRows][kSumVectors];
    const float* row[kSumRows];
#pragma GCC unroll 16
    for (int r = 0; r < kSumRows; ++r) {
      row[r] = x[r];
#pragma GCC unroll 8
      for (int v = 0; v < kSumVectors; ++v) sum[r][v] = hn::Zero(d);
    }
    for (int64_t i = 0; i < length; ++i) {
      const T* first = w + i * width + neuron;
      Vector weights[kSumVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kSumVectors; ++v) {
        weights[v] = LoadWeights(d, first + v / kPerBlock * next_block + v % kPerBlock * kLanes);
      }
      hwy::Prefetch(reinterpret_cast<const char*>(first) + kPrefetchBytes);
      if (kSumVectors > kPerBlock) {
        hwy::Prefetch(reinterpret_cast<const char*>(first + next_block) + kPrefetchBytes);
      }
#pragma GCC unroll 16
      for (int r = 0; r < kSumRows; ++r) {
        const Vector value = hn::Set(d, row[r][i]);
#pragma GCC unroll 8
        for (int v = 0; v < kSumVectors; ++v) {
          sum[r][v] = hn::MulAdd(value, weights[v], sum[r][v]);
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kSumRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kSumVectors; ++v) {
        hn::StoreU(sum[r][v], d, out + r * out_stride + v * kLanes);
      }
    }
  }
};

// 8-bit weights times quantized rows, [hidden / 4][block width][4] in a block. The sums still lack
// the scales of W's rows. Those of x are applied group by group, always in the same order.
template <class Dots>
struct Int8Operand {
#if HWY_TARGET <= HWY_AVX3
  static constexpr int kRows = 6, kVectors = 2, kFullSums = 12;
#elif HWY_TARGET == HWY_NEON
  static constexpr int kRows = 3, kVectors = 4, kFullSums = 8;
#else
  static constexpr int kRows = 3, kVectors = 2, kFullSums = 4;
#endif
  using Weight = uint8_t;

  QuantizedRows x[kRows];  // one row each
  int64_t length;          // hidden, rounded up to 4
  int64_t group_columns = kGroupColumns;
  int64_t block_stride;
  void SetLength(int64_t hidden) {
    length = QuantizedSize(hidden);
    block_stride = length * kBlockNeurons;
  }

  template <int kSumRows, int kSumVectors>
  HWY_NOINLINE void Multiply(const uint8_t* w, int64_t width, int64_t neuron, float* out,
                             int64_t out_stride) const {
    const IntTag d;
    const Tag d_float;
    const int64_t next_block = block_stride;
    const int8_t* row[kSumRows];
    const float* scales[kSumRows];
    const int32_t* sums[kSumRows];
    Vector total[kSumRows][kSumVectors];
#pragma GCC unroll 16
    for (int r = 0; r < kSumRows; ++r) {
      row[r] = x[r].data;
      scales[r] = x[r].scale;
      sums[r] = x[r].sum;
#pragma GCC unroll 8
      for (int v = 0; v < kSumVectors; ++v) total[r][v] = hn::Zero(d_float);
    }
    int64_t i = 0, group = 0;
    do {  // loops that run at least once keep the sums in registers
      Ints sum[kSumRows][kSumVectors];
#pragma GCC unroll 16
      for (int r = 0; r < kSumRows; ++r) {
        const Ints start =
            hn::Set(d, -Dots::kOffset * (sums[r][2 * group] + sums[r][2 * group + 1]));
#pragma GCC unroll 8
        for (int v = 0; v < kSumVectors; ++v) sum[r][v] = start;
      }
      const int64_t end = std::min(length, i + group_columns);
      do {
        const uint8_t* first = w + i * width + 4 * neuron;
        typename Dots::Quads weights[kSumVectors];
#pragma GCC unroll 8
        for (int v = 0; v < kSumVectors; ++v) {
          weights[v] = Dots::Prepare(
              LoadQuads(first + v / kPerBlock * next_block + v % kPerBlock * 4 * kLanes));
        }
        hwy::Prefetch(first + kPrefetchBytes);
        if (kSumVectors > kPerBlock) hwy::Prefetch(first + next_block + kPrefetchBytes);
#pragma GCC unroll 16
        for (int r = 0; r < kSumRows; ++r) {
          const Ints values = SetQuad(row[r] + i);
#pragma GCC unroll 8
          for (int v = 0; v < kSumVectors; ++v) {
            sum[r][v] = Dots::Add(sum[r][v], weights[v], values);
          }
        }
        i += kQuad;
      } while (i < end);
#pragma GCC unroll 16
      for (int r = 0; r < kSumRows; ++r) {
        const Vector scale = hn::Set(d_float, scales[r][group]);
#pragma GCC unroll 8
        for (int v = 0; v < kSumVectors; ++v) {
          total[r][v] = hn::MulAdd(hn::ConvertTo(d_float, sum[r][v]), scale, total[r][v]);
        }
      }
      ++group;
    } while (i < length);
#pragma GCC unroll 16
    for (int r = 0; r < kSumRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kSumVectors; ++v) {
        hn::StoreU(total[r][v], d_float, out + r * out_stride + v * kLanes);
      }
    }
  }
};

// 4-bit weights times quantized rows (runtime/weight_tiles.h has the layout).
template <class Dots>
struct Int4Operand {
  static constexpr int kRows = Int8Operand<Dots>::kRows, kVectors = Int8Operand<Dots>::kVectors;
  static constexpr int kFullSums = Int8Operand<Dots>::kFullSums;
  using Weight = uint8_t;

  QuantizedRows x[kRows];  // one row each
  int64_t groups;
  int64_t block_stride;
  void SetLength(int64_t hidden) {
    const int64_t neuron_bytes = TileRowBytes(WeightFormat::kInt4, hidden);
    groups = neuron_bytes / kInt4GroupBytes;
    block_stride = neuron_bytes * kBlockNeurons;
  }

  template <int kSumRows, int kSumVectors>
  HWY_NOINLINE void Multiply(const uint8_t* w, int64_t width, int64_t neuron, float* out,
                             int64_t out_stride) const {
    const IntTag d;
    const Tag d_float;
    const hn::Rebind<hwy::float16_t, Tag> d_half;
    const Ints low_bits = hn::Set(d, 0x0f0f0f0f);
    const int64_t next_block = block_stride;
    const int8_t* row[kSumRows];
    Vector total[kSumRows][kSumVectors];
#pragma GCC unroll 16
    for (int r = 0; r < kSumRows; ++r) {
      row[r] = x[r].data;
#pragma GCC unroll 8
      for (int v = 0; v < kSumVectors; ++v) total[r][v] = hn::Zero(d_float);
    }
    int64_t group = 0;
    do {  // loops that run at least once keep the sums in registers
      Ints sum[kSumRows][kSumVectors];
#pragma GCC unroll 16
      for (int r = 0; r < kSumRows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < kSumVectors; ++v) sum[r][v] = hn::Zero(d);
      }
      const uint8_t* const first = w + group * width * kInt4GroupBytes;
      int64_t p = 0;
      do {
        const uint8_t* const four = first + (p * width + neuron) * 4;
        Ints low[kSumVectors], high[kSumVectors];
#pragma GCC unroll 8
        for (int v = 0; v < kSumVectors; ++v) {
          const Ints codes =
              LoadQuads(four + v / kPerBlock * next_block + v % kPerBlock * 4 * kLanes);
          low[v] = hn::And(codes, low_bits);
          high[v] = hn::And(hn::ShiftRight<4>(codes), low_bits);
        }
        hwy::Prefetch(four + kPrefetchBytes);
        if (kSumVectors > kPerBlock) hwy::Prefetch(four + next_block + kPrefetchBytes);
#pragma GCC unroll 16
        for (int r = 0; r < kSumRows; ++r) {
          const int8_t* const numbers = row[r] + group * kInt4Group + 4 * p;
          const Ints at_low = SetQuad(numbers), at_high = SetQuad(numbers + kInt4Group / 2);
#pragma GCC unroll 8
          for (int v = 0; v < kSumVectors; ++v) {
            sum[r][v] = Dots::AddCodes(sum[r][v], low[v], at_low);
            sum[r][v] = Dots::AddCodes(sum[r][v], high[v], at_high);
          }
        }
      } while (++p < 4);
      Vector scale[kSumVectors], minimum[kSumVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kSumVectors; ++v) {
        const uint8_t* const scales = first + width * kInt4Group / 2 + 2 * neuron +
                                      v / kPerBlock * next_block + v % kPerBlock * 2 * kLanes;
        const auto load = [&](const uint8_t* from) HWY_ATTR {
          return hn::PromoteTo(d_float,
                               hn::LoadU(d_half, reinterpret_cast<const hwy::float16_t*>(from)));
        };
        scale[v] = load(scales);
        minimum[v] = load(scales + 2 * width);
      }
#pragma GCC unroll 16
      for (int r = 0; r < kSumRows; ++r) {
        const float x_scale = x[r].scale[group / 2];
        const Vector of_x = hn::Set(d_float, x_scale);
        const Vector of_minimum = hn::Set(d_float, x_scale * static_cast<float>(x[r].sum[group]));
#pragma GCC unroll 8
        for (int v = 0; v < kSumVectors; ++v) {
          const Vector dots = hn::Mul(hn::ConvertTo(d_float, sum[r][v]), of_x);
          total[r][v] = hn::MulAdd(dots, scale[v], total[r][v]);
          total[r][v] = hn::MulAdd(of_minimum, minimum[v], total[r][v]);
        }
      }
    } while (++group < groups);
#pragma GCC unroll 16
    for (int r = 0; r < kSumRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kSumVectors; ++v) {
        hn::StoreU(total[r][v], d_float, out + r * out_stride + v * kLanes);
      }
    }
  }
};
static_assert(kGroupColumns == 2 * kInt4Group);

// Computes `count` neurons of a block of `width` from `neuron` on, as many vectors together as
// allowed.
template <int kRows, int kVectors, class Operand>
HWY_INLINE void MultiplyBlock(const Operand& x, const typename Operand::Weight* w, int64_t width,
                              int64_t neuron, int64_t count, float* out, int64_t out_stride) {
  if constexpr (kVectors > 1) {
    if (count <= kVectors / 2 * kLanes) {
      return MultiplyBlock<kRows, kVectors / 2>(x, w, width, neuron, count, out, out_stride);
    }
  }
  constexpr int64_t kNeurons = kVectors * kLanes;
  x.template Multiply<kRows, kVectors>(w, width, neuron, out, out_stride);
  if (count > kNeurons) {
    MultiplyBlock<kRows, kVectors>(x, w, width, neuron + kNeurons, count - kNeurons, out + kNeurons,
                                   out_stride);
  }
}

// Computes all neurons of a tile, for a number of rows that is known only at run time.
template <int kRows, class Operand>
HWY_INLINE void MultiplyTile(int64_t rows, const Operand& x, const typename Operand::Weight* w,
                             int64_t width, float* out, int64_t out_stride) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return MultiplyTile<kRows - 1>(rows, x, w, width, out, out_stride);
    }
  }
  if constexpr (kRows * kFullVectors <= Operand::kFullSums) {
    if (width == kTileNeurons) {
      return x.template Multiply<kRows, kFullVectors>(w, kBlockNeurons, 0, out, out_stride);
    }
  }
  constexpr int kVectors = kLanes == kBlockNeurons ? 1 : Operand::kVectors;
  for (int64_t n = 0; n < width; n += kBlockNeurons) {
    const int64_t block = std::min(kBlockNeurons, width - n);
    MultiplyBlock<kRows, kVectors>(x, w + n / kBlockNeurons * x.block_stride, block, 0, block,
                                   out + n, out_stride);
  }
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
