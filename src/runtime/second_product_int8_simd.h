// y += h W_out in 8 bits, for one tile of neurons and one panel of columns. The tile's sum is
// exact; it is scaled and added to y once, so a token's result does not depend on which way
// computes it. Compiled once per instruction set (Highway's pattern: the guard toggles).
#if defined(MOEFY_RUNTIME_SECOND_PRODUCT_INT8_SIMD_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOEFY_RUNTIME_SECOND_PRODUCT_INT8_SIMD_H_
#undef MOEFY_RUNTIME_SECOND_PRODUCT_INT8_SIMD_H_
#else
#define MOEFY_RUNTIME_SECOND_PRODUCT_INT8_SIMD_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "runtime/expert_weights.h"
#include "runtime/int8_simd.h"
#include "runtime/second_product.h"
#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR
HWY_INLINE void SecondProductInt8(const SecondProductArgs& args) {
  const auto* const w = static_cast<const uint8_t*>(args.w_out);
  const QuantizedRows& h = args.h_quantized;
  for (int64_t i = 0; i < args.num_tokens; ++i) {
    float* const y = args.y + args.tokens[i] * kPanelColumns;
    for (int64_t c = 0; c < args.columns; ++c) {
      int32_t sum = 0;
      for (int64_t n = 0; n < args.width; ++n) {
        sum += (w[n * args.columns + c] - 128) * h.data[i * h.stride + n];
      }
      y[c] += h.scale[i] * static_cast<float>(sum);
    }
  }
}
#else
// The sums of the product, rows x vectors.
#if HWY_TARGET <= HWY_AVX3
constexpr int kInt8Rows = 6, kInt8Vectors = 4;
#elif HWY_TARGET == HWY_AVX2
constexpr int kInt8Rows = 2, kInt8Vectors = 2;
#else
constexpr int kInt8Rows = 2, kInt8Vectors = 4;
#endif
// From so many tokens on, the tile is put into quads of neurons once for all of them.
constexpr int64_t kQuadTokens = 3;
constexpr int64_t kNeuronQuads = kTileNeurons / 4;

// Interleaves four rows of 16 bytes: column c's four neurons lie together at to + 4 c.
HWY_INLINE void InterleaveRows(const uint8_t* const* rows, int64_t column, uint8_t* to) {
  const hn::FixedTag<uint8_t, 16> d8;
  const hn::FixedTag<uint16_t, 8> d16;
  const auto a = hn::LoadU(d8, rows[0] + column), b = hn::LoadU(d8, rows[1] + column);
  const auto c = hn::LoadU(d8, rows[2] + column), e = hn::LoadU(d8, rows[3] + column);
  const auto ab_low = hn::BitCast(d16, hn::InterleaveLower(d8, a, b));
  const auto ab_high = hn::BitCast(d16, hn::InterleaveUpper(d8, a, b));
  const auto ce_low = hn::BitCast(d16, hn::InterleaveLower(d8, c, e));
  const auto ce_high = hn::BitCast(d16, hn::InterleaveUpper(d8, c, e));
  hn::StoreU(hn::BitCast(d8, hn::InterleaveLower(d16, ab_low, ce_low)), d8, to);
  hn::StoreU(hn::BitCast(d8, hn::InterleaveUpper(d16, ab_low, ce_low)), d8, to + 16);
  hn::StoreU(hn::BitCast(d8, hn::InterleaveLower(d16, ab_high, ce_high)), d8, to + 32);
  hn::StoreU(hn::BitCast(d8, hn::InterleaveUpper(d16, ab_high, ce_high)), d8, to + 48);
}

// quads [kNeuronQuads][columns][4] of rows [width][columns]. Neurons beyond `width` repeat the last
// one; they are multiplied by 0.
HWY_INLINE void InterleavePanel(const uint8_t* w, int64_t width, int64_t columns, uint8_t* quads) {
  for (int64_t n = 0; n < width; n += 4, quads += 4 * columns) {
    const uint8_t* rows[4];
    for (int64_t i = 0; i < 4; ++i) rows[i] = w + std::min(n + i, width - 1) * columns;
    for (int64_t c = 0; c < columns; c += 16) InterleaveRows(rows, c, quads + 4 * c);
  }
}

// kVectors columns of kRows tokens, all neurons. h and y point at the rows.
template <class Dots, int kRows, int kVectors>
HWY_INLINE void AddQuads(const SecondProductArgs& args, int64_t first, const uint8_t* quads,
                         int64_t num_quads, int64_t column) {
  const IntTag d;
  const Tag d_float;
  const QuantizedRows& h = args.h_quantized;
  const int8_t* row[kRows];
  Ints sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    row[r] = h.data + (first + r) * h.stride;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      sum[r][v] = hn::Set(d, -Dots::kOffset * h.sum[2 * (first + r)]);
  }
  const uint8_t* w = quads + 4 * column;
  for (int64_t q = 0; q < num_quads; ++q, w += 4 * args.columns) {
    typename Dots::Quads weights[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) weights[v] = Dots::Prepare(LoadQuads(w + v * 4 * kLanes));
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Ints values = SetQuad(row[r] + 4 * q);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] = Dots::Add(sum[r][v], weights[v], values);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    float* const y = args.y + args.tokens[first + r] * kPanelColumns + column;
    const Vector scale = hn::Set(d_float, h.scale[first + r]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Vector old = hn::LoadU(d_float, y + v * kLanes);
      hn::StoreU(hn::MulAdd(hn::ConvertTo(d_float, sum[r][v]), scale, old), d_float,
                 y + v * kLanes);
    }
  }
}

// One strip of kVectors columns after the other, as wide as the columns that are left allow.
template <class Dots, int kRows, int kVectors>
HWY_INLINE void AddQuadStrips(const SecondProductArgs& args, int64_t first, const uint8_t* quads,
                              int64_t num_quads, int64_t column) {
  for (; column + kVectors * kLanes <= args.columns; column += kVectors * kLanes) {
    AddQuads<Dots, kRows, kVectors>(args, first, quads, num_quads, column);
  }
  if constexpr (kVectors > 1) {
    if (column < args.columns) {
      AddQuadStrips<Dots, kRows, kVectors / 2>(args, first, quads, num_quads, column);
    }
  }
}

// The rows that are left after groups of kInt8Rows.
template <class Dots, int kRows>
HWY_INLINE void AddLastRows(const SecondProductArgs& args, int64_t first, const uint8_t* quads,
                            int64_t num_quads) {
  if constexpr (kRows > 0) {
    if (args.num_tokens - first < kRows) {
      return AddLastRows<Dots, kRows - 1>(args, first, quads, num_quads);
    }
    AddQuadStrips<Dots, kRows, kInt8Vectors>(args, first, quads, num_quads, 0);
  }
}

template <class Dots>
HWY_INLINE void AddManyTokens(const SecondProductArgs& args, const uint8_t* w) {
  alignas(64) uint8_t quads[kNeuronQuads * 4 * kPanelColumns];
  InterleavePanel(w, args.width, args.columns, quads);
  const int64_t num_quads = (args.width + 3) / 4;
  int64_t i = 0;
  for (; i + kInt8Rows <= args.num_tokens; i += kInt8Rows) {
    AddQuadStrips<Dots, kInt8Rows, kInt8Vectors>(args, i, quads, num_quads, 0);
  }
  AddLastRows<Dots, kInt8Rows - 1>(args, i, quads, num_quads);
}

// A token's neurons that are not zero, in quads.
struct LiveQuads {
  int num = 0;
  int8_t h[kTileNeurons + 4];         // [num][4]
  int32_t neurons[kTileNeurons + 4];  // likewise
};
HWY_INLINE LiveQuads FindLiveQuads(const int8_t* h, uint32_t live) {
  LiveQuads quads;
  int count = 0;
  for (; live != 0; live &= live - 1, ++count) {
    quads.neurons[count] = __builtin_ctz(live);
    quads.h[count] = h[quads.neurons[count]];
  }
  for (; count % 4 != 0; ++count) {
    quads.neurons[count] = quads.neurons[count - 1];
    quads.h[count] = 0;
  }
  quads.num = count / 4;
  return quads;
}

// As many columns as four vectors have bytes for, of one token; only rows of live neurons are read.
// Rows are interleaved within runs of 16 columns (blocks), so that sum j holds columns 4 j to
// 4 j + 3 of every block.
template <class Dots>
HWY_INLINE void AddLiveStrip(const LiveQuads& quads, int32_t offset, float scale, const uint8_t* w,
                             int64_t columns, float* y) {
  const IntTag d;
  const hn::Repartition<uint8_t, IntTag> d8;
  const hn::Repartition<uint16_t, IntTag> d16;
  Ints sum[4] = {hn::Set(d, offset), hn::Set(d, offset), hn::Set(d, offset), hn::Set(d, offset)};
  for (int q = 0; q < quads.num; ++q) {
    const int32_t* n = quads.neurons + 4 * q;
    const auto a = hn::LoadU(d8, w + n[0] * columns), b = hn::LoadU(d8, w + n[1] * columns);
    const auto c = hn::LoadU(d8, w + n[2] * columns), e = hn::LoadU(d8, w + n[3] * columns);
    const auto ab_low = hn::BitCast(d16, hn::InterleaveLower(d8, a, b));
    const auto ab_high = hn::BitCast(d16, hn::InterleaveUpper(d8, a, b));
    const auto ce_low = hn::BitCast(d16, hn::InterleaveLower(d8, c, e));
    const auto ce_high = hn::BitCast(d16, hn::InterleaveUpper(d8, c, e));
    const Ints x = SetQuad(quads.h + 4 * q);
    const auto weights = [&](auto v) HWY_ATTR { return Dots::Prepare(hn::BitCast(d, v)); };
    sum[0] = Dots::Add(sum[0], weights(hn::InterleaveLower(d16, ab_low, ce_low)), x);
    sum[1] = Dots::Add(sum[1], weights(hn::InterleaveUpper(d16, ab_low, ce_low)), x);
    sum[2] = Dots::Add(sum[2], weights(hn::InterleaveLower(d16, ab_high, ce_high)), x);
    sum[3] = Dots::Add(sum[3], weights(hn::InterleaveUpper(d16, ab_high, ce_high)), x);
  }
  alignas(64) int32_t totals[4][kLanes];
  for (int j = 0; j < 4; ++j) hn::Store(sum[j], d, totals[j]);
  const hn::FixedTag<int32_t, 4> d_int;
  const hn::FixedTag<float, 4> d_float;
  const auto factor = hn::Set(d_float, scale);
  for (int64_t block = 0; block < kLanes / 4; ++block) {
    for (int j = 0; j < 4; ++j) {
      float* const to = y + 16 * block + 4 * j;
      const auto total = hn::ConvertTo(d_float, hn::Load(d_int, totals[j] + 4 * block));
      hn::StoreU(hn::MulAdd(total, factor, hn::LoadU(d_float, to)), d_float, to);
    }
  }
}

template <class Dots>
HWY_INLINE void AddFewTokens(const SecondProductArgs& args, const uint8_t* w) {
  const QuantizedRows& h = args.h_quantized;
  for (int64_t i = 0; i < args.num_tokens; ++i) {
    const LiveQuads quads = FindLiveQuads(h.data + i * h.stride, args.live[i]);
    const int32_t offset = -Dots::kOffset * h.sum[2 * i];
    float* const y = args.y + args.tokens[i] * kPanelColumns;
    int64_t column = 0;
    for (; column + 4 * kLanes <= args.columns; column += 4 * kLanes) {
      AddLiveStrip<Dots>(quads, offset, h.scale[i], w + column, args.columns, y + column);
    }
    if (column == args.columns) continue;
    // The rest of a narrow panel: computed on copies, whose ends are not used.
    alignas(64) uint8_t rows[kTileNeurons * 4 * kLanes] = {};
    alignas(64) float sums[4 * kLanes] = {};
    const int64_t left = args.columns - column;
    for (int64_t n = 0; n < args.width; ++n) {
      std::copy_n(w + n * args.columns + column, left, rows + n * 4 * kLanes);
    }
    std::copy_n(y + column, left, sums);
    AddLiveStrip<Dots>(quads, offset, h.scale[i], rows, 4 * kLanes, sums);
    std::copy_n(sums, left, y + column);
  }
}

HWY_INLINE void SecondProductInt8(const SecondProductArgs& args) {
  const auto* const w = static_cast<const uint8_t*>(args.w_out);
  WithDots([&](auto dots) HWY_ATTR {
    if (args.num_tokens < kQuadTokens) return AddFewTokens<decltype(dots)>(args, w);
    AddManyTokens<decltype(dots)>(args, w);
  });
}
#endif

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
