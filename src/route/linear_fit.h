// Least squares from sums over tokens: linear maps with a bias, whole or of low rank.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace moefy::route {

struct LinearMap {
  at::Tensor w;  // [outputs, hidden] F32
  at::Tensor b;  // [outputs] F32
};

struct LowRankMap {
  at::Tensor down;  // [rank, hidden] F32
  at::Tensor up;    // [outputs, rank] F32
  at::Tensor b;     // [outputs] F32
};

// What was computed in F64 as a router keeps it: F32, contiguous.
at::Tensor Floats(const at::Tensor& tensor);

// gram with its mean diagonal times `strength` added to the diagonal.
at::Tensor Penalised(const at::Tensor& gram, double strength);

class LinearFit {
 public:
  // Sums are F64, where `options` say.
  LinearFit(int64_t hidden, int64_t outputs, const at::TensorOptions& options);

  // x [tokens, hidden], target [tokens, outputs]. With `scale` [tokens, 1], the map times the scale
  // is fitted to the target. These tokens count `weight` times.
  void Add(const at::Tensor& x, const at::Tensor& target, const at::Tensor& scale = {},
           double weight = 1);

  const at::Tensor& gram() const { return gram_; }  // of [x, 1]: [hidden + 1, hidden + 1]

  // Ridge regression.
  LinearMap Solve(double strength) const;
  // The same without a bias: b is zero.
  LinearMap SolveUnbiased(double strength) const;
  // Ridge regression, projected onto the directions in which its own predictions vary most.
  // Source: Izenman, Journal of Multivariate Analysis 5 (1975).
  LowRankMap SolveLowRank(double strength, int64_t rank) const;

 private:
  at::Tensor SolveWhole(double strength) const;  // [outputs, hidden + 1] F64

  int64_t hidden_;
  at::Tensor gram_, right_;  // right: [hidden + 1, outputs]
};

}  // namespace moefy::route
