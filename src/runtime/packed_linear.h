// A linear map for the decoder's sake. With few rows of x, reading the weights is what costs: they
// are read once, in whatever format, and nothing is allocated but the result. Many rows (more than
// 24, or 32 where the weights are narrow) go through LibTorch's BLAS.
// Thread-safety: immutable; one call at a time, parallel inside.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "moefy/model/linear.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

class PackedLinear final : public model::LinearKernel {
 public:
  // weight [out, in] F32, contiguous and shared in F32, copied in the other formats; bias [out] or
  // undefined.
  PackedLinear(const at::Tensor& weight, const at::Tensor& bias, WeightFormat format);
  at::Tensor Forward(const at::Tensor& x) const override;
  void ForwardInto(const float* x, int64_t rows, float* y) const override;
  int64_t out() const { return rows_; }
  int64_t WeightBytes() const;

 private:
  void ForwardFew(const float* x, int64_t rows, float* y) const;
  void ForwardMany(const at::Tensor& x, at::Tensor& y) const;

  int64_t rows_, columns_;  // out, in
  WeightFormat format_;
  at::Tensor weight_;  // F32; a byte tensor for the others
  at::Tensor scale_;   // [out], INT8 only
  at::Tensor bias_;
};

}  // namespace moefy::runtime
