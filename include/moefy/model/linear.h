// Another seam: a linear map of a Transformer whose weights are kept and multiplied in a way of
// their own. For inference only: nothing is differentiated through it.
#pragma once

#include <ATen/core/Tensor.h>

namespace moefy::model {

class LinearKernel {
 public:
  virtual ~LinearKernel() = default;
  // x [rows, in] F32 contiguous -> [rows, out].
  virtual at::Tensor Forward(const at::Tensor& x) const = 0;
};

}  // namespace moefy::model
