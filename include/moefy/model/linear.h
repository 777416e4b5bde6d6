// Another seam: a linear map of a Transformer whose weights are kept and multiplied in a way of
// their own. For inference only: nothing is differentiated through it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace moefy::model {

class LinearKernel {
 public:
  virtual ~LinearKernel() = default;
  // x [rows, in] F32 contiguous -> [rows, out].
  virtual at::Tensor Forward(const at::Tensor& x) const = 0;
  // The same without a tensor: x [rows, in] -> y [rows, out], which do not overlap.
  virtual void ForwardInto(const float* x, int64_t rows, float* y) const = 0;
};

}  // namespace moefy::model
