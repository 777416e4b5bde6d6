// Activations in 8 bits, made while the model runs: each group of kGroupColumns neighbouring
// numbers of a row is divided by its largest absolute value / 127 and rounded to the nearest
// integer, half to even (symmetric, "dynamic" quantization). Groups keep a few large channels from
// costing all others their precision: with one scale for a row, SmolLM2's perplexity rises by 2.6 %
// (docs/decisions/0018-8-bit-arithmetic.md). A group with a value that is not finite has scale NaN,
// so that everything made of it is NaN.
#pragma once

#include <cstdint>
#include <vector>

namespace moefy::runtime {

inline constexpr int64_t kGroupColumns = 64, kHalfGroup = kGroupColumns / 2;

// Rows of quantized activations, in groups of kGroupColumns or, where a kernel makes them tile by
// tile, of kHalfGroup, whose second half's sum is 0. `data` is null for none.
struct QuantizedRows {
  int8_t* data = nullptr;  // row i at data + i * stride
  int64_t stride = 0;
  float* scale = nullptr;  // [rows][groups]
  int32_t* sum = nullptr;  // [rows][groups][2] of the numbers of each half of the group
  int64_t groups = 0;      // in a row
  int64_t group_columns = kGroupColumns;

  QuantizedRows From(int64_t row, int64_t group = 0) const {
    return {data + row * stride + group * group_columns,
            stride,
            scale + row * groups + group,
            sum + 2 * (row * groups + group),
            groups,
            group_columns};
  }
};

// Kernels multiply quads of numbers, and read whole groups: a row ends with zeros.
inline constexpr int64_t kQuad = 4;
inline int64_t QuantizedSize(int64_t size) { return (size + kQuad - 1) / kQuad * kQuad; }

// Quantizes x [size] as row `row` of `to`. Pure function.
void QuantizeRow(const float* x, int64_t size, const QuantizedRows& to, int64_t row);

// Keeps memory for rows, so that calls allocate nothing. One owner at a time.
class QuantizedBuffer {
 public:
  // Room for `rows` of `size` numbers; what was there is lost.
  QuantizedRows Rows(int64_t rows, int64_t size, int64_t group_columns = kGroupColumns);

 private:
  std::vector<int8_t> data_;
  std::vector<float> scale_;
  std::vector<int32_t> sum_;
};

}  // namespace moefy::runtime
