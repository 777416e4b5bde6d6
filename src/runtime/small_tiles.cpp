#include "runtime/small_tiles.h"

#include <ATen/Parallel.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cmath>

#include "runtime/quantize.h"

namespace moefy::runtime {
namespace {

int64_t RoundUp(int64_t size, int64_t to) { return (size + to - 1) / to * to; }

// Calls write(row, column) in the order in which a block of `width` rows lies, `together`
// neighbouring columns at a time.
template <class Write>
void WalkBlock(int64_t first, int64_t width, int64_t columns, int64_t together,
               const Write& write) {
  const int64_t step = kSmallLanes / width * together;
  for (int64_t i = 0; i < columns; i += step) {
    for (int64_t n = first; n < first + width; ++n) {
      for (int64_t k = i; k < i + step; ++k) write(n, k);
    }
  }
}

template <class T>
void PackFloats(const MatrixView& from, int64_t first, int64_t width, int64_t columns, T* to) {
  const int64_t padded = RoundUp(columns, kSmallLanes / 2);
  for (int64_t n = 0, block = 0; n < width; n += block) {
    block = SmallBlock(width - n);
    T* next = to + n * padded;
    WalkBlock(first + n, block, columns, 1, [&](int64_t row, int64_t i) {
      const bool there = i < columns && row < first + width;
      *next++ = static_cast<T>(there ? from(row, i) : 0.0f);
    });
  }
}

void PackInt8(const MatrixView& from, int64_t first, int64_t width, int64_t columns, float* scales,
              uint8_t* to) {
  float inverse[kTileNeurons] = {};
  for (int64_t n = 0; n < width; ++n) {
    float largest = 0;
    for (int64_t i = 0; i < columns; ++i) {
      largest = std::max(largest, std::abs(from(first + n, i)));
    }
    scales[n] = largest / 127.0f;
    inverse[n] = largest > 0 ? 127.0f / largest : 0.0f;
  }
  const int64_t padded = RoundUp(columns, kGroupColumns);
  for (int64_t n = 0, block = 0; n < width; n += block) {
    block = SmallBlock(width - n);
    uint8_t* next = to + n * padded;
    WalkBlock(first + n, block, padded, kQuad, [&](int64_t row, int64_t i) {
      const bool there = i < columns && row < first + width;
      *next++ = StoredInt8(there ? from(row, i) : 0.0f, inverse[row - first]);
    });
  }
}

}  // namespace

int64_t SmallRowBytes(WeightFormat format, int64_t columns) {
  if (format == WeightFormat::kInt8) return RoundUp(columns, kGroupColumns);
  return RoundUp(columns, kSmallLanes / 2) * BytesPerWeight(format);
}

void PackSmallTile(const MatrixView& from, int64_t first, int64_t width, int64_t columns,
                   WeightFormat format, float* scales, std::byte* to) {
  switch (format) {
    case WeightFormat::kF32:
      return PackFloats(from, first, width, columns, reinterpret_cast<float*>(to));
    case WeightFormat::kBf16:
      return PackFloats(from, first, width, columns, reinterpret_cast<c10::BFloat16*>(to));
    case WeightFormat::kF16:
      return PackFloats(from, first, width, columns, reinterpret_cast<c10::Half*>(to));
    case WeightFormat::kInt8:
      return PackInt8(from, first, width, columns, scales, reinterpret_cast<uint8_t*>(to));
    case WeightFormat::kInt4:
      break;  // is not packed so
  }
}

int64_t StripsBytes(int64_t num_experts, int64_t neurons_per_expert, int64_t columns) {
  return RoundUp(columns, kStripColumns) / kStripColumns * num_experts *
         UnitsPerExpert(neurons_per_expert) * UnitBytes(neurons_per_expert);
}

void PackStrips(const MatrixView& from, int64_t num_experts, int64_t neurons_per_expert,
                int64_t columns, const float* scales, uint8_t* to) {
  const int64_t unit = UnitNeurons(neurons_per_expert), units = UnitsPerExpert(neurons_per_expert);
  const int64_t strip_bytes = StripsBytes(num_experts, neurons_per_expert, kStripColumns);
  const int64_t strips = (columns + kStripColumns - 1) / kStripColumns;
  at::parallel_for(0, strips, 1, [&](int64_t begin, int64_t end) {
    for (int64_t strip = begin; strip < end; ++strip) {
      for (int64_t position = 0; position < kStripColumns; ++position) {
        const int64_t c = strip * kStripColumns + (unit == 2 ? PairColumn(position) : position);
        const float inverse = c < columns ? 1.0f / scales[c] : 0.0f;
        uint8_t* next = to + strip * strip_bytes + position * unit;
        for (int64_t e = 0; e < num_experts; ++e) {
          for (int64_t n = 0; n < units * unit; n += unit, next += unit * kStripColumns) {
            for (int64_t k = 0; k < unit; ++k) {
              const bool there = c < columns && n + k < neurons_per_expert;
              const float value = there ? from(e * neurons_per_expert + n + k, c) : 0.0f;
              next[k] = StoredInt8(value, inverse);
            }
          }
        }
      }
    }
  });
}

}  // namespace moefy::runtime
