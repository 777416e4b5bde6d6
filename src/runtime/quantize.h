// Activations in 8 bits, made while the model runs: each row is divided by its largest absolute
// value / 127 and rounded to the nearest integer, half to even (symmetric, "dynamic" quantization).
// A row with a value that is not finite has scale NaN, so that everything made of it is NaN.
#pragma once

#include <cstdint>
#include <vector>

namespace moefy::runtime {

// Rows of quantized activations. `data` is null for none.
struct QuantizedRows {
  int8_t* data = nullptr;  // row i at data + i * stride
  int64_t stride = 0;
  float* scale = nullptr;  // [rows]
  int32_t* sum = nullptr;  // [rows] of the row's numbers

  QuantizedRows From(int64_t row) const {
    return {data + row * stride, stride, scale + row, sum + row};
  }
};

// Kernels read whole groups of so many numbers; the last group of a row ends with zeros.
inline constexpr int64_t kQuantizedGroup = 4;
inline int64_t QuantizedSize(int64_t size) {
  return (size + kQuantizedGroup - 1) / kQuantizedGroup * kQuantizedGroup;
}

// Quantizes x [size] as row `row` of `to`. Pure function.
void QuantizeRow(const float* x, int64_t size, const QuantizedRows& to, int64_t row);

// Keeps memory for rows, so that calls allocate nothing. One owner at a time.
class QuantizedBuffer {
 public:
  // Room for `rows` of `size` numbers; what was there is lost.
  QuantizedRows Rows(int64_t rows, int64_t size);

 private:
  std::vector<int8_t> data_;
  std::vector<float> scale_;
  std::vector<int32_t> sum_;
};

}  // namespace moefy::runtime
