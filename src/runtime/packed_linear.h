// A linear map whose weights are kept in one of the formats of runtime/weight_format.h.
//   F32, INT8, INT4: in tiles, for any number of rows (runtime/first_product.h); INT8 and INT4 in
//   8-bit arithmetic. A row's result does not depend on how many rows there are.
//   BF16, F16: for few rows of x reading the weights is what costs; they are read once, and
//   nothing is allocated but the result. More than 32 rows go through LibTorch's BLAS.
// Thread-safety: immutable; one call at a time, parallel inside.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/linear.h"
#include "runtime/first_product.h"
#include "runtime/quantize.h"
#include "runtime/weight_format.h"
#include "runtime/weight_tiles.h"

namespace moefy::runtime {

class PackedLinear final : public model::LinearKernel {
 public:
  // weight [out, in] F32, which is copied; bias [out] or undefined. INT8 and INT4 lie in the slot's
  // memory (PackLinearTiles).
  PackedLinear(const at::Tensor& weight, const at::Tensor& bias, WeightFormat format,
               const PackedSlot& slot = {});
  at::Tensor Forward(const at::Tensor& x) const override;
  void ForwardInto(const float* x, int64_t rows, float* y) const override;
  // INT8: from rows that are quantized already.
  void ForwardQuantized(const QuantizedRows& x, int64_t rows, float* y) const;
  int64_t out() const { return rows_; }
  int64_t WeightBytes() const;

 private:
  void ForwardFloat(const float* x, int64_t rows, float* y) const;
  void RunTiles(const FirstProductArgs& x, int64_t rows, float* y) const;
  void Quantize(const float* x, int64_t rows, const QuantizedRows& quantized) const;
  void ForwardFew(const float* x, int64_t rows, float* y) const;
  void ForwardMany(const at::Tensor& x, at::Tensor& y) const;

  int64_t rows_, columns_;  // out, in
  WeightFormat format_;
  at::Tensor weight_;  // BF16, F16
  LinearTiles tiles_;  // F32, INT8, INT4
  at::Tensor bias_;
};

}  // namespace moefy::runtime
