// Another seam: a linear map of a Transformer whose owner decides how its weights are kept and
// multiplied. For inference only: nothing is differentiated through it.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace moefy::model {

// Weights that stay in the file as they are stored, F16 or BF16, as F32; all others as they are.
inline at::Tensor Widened(const at::Tensor& weight) {
  const bool narrow = weight.defined() &&
                      (weight.scalar_type() == at::kHalf || weight.scalar_type() == at::kBFloat16);
  return narrow ? weight.to(at::kFloat) : weight;
}

class LinearKernel {
 public:
  virtual ~LinearKernel() = default;
  // Maps x [rows, in], F32, contiguous, to [rows, out].
  virtual at::Tensor Forward(const at::Tensor& x) const = 0;
  // Does the same without a tensor: from x [rows, in] to y [rows, out], which do not overlap.
  virtual void ForwardInto(const float* x, int64_t rows, float* y) const = 0;
};

}  // namespace moefy::model
