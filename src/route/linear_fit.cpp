#include "route/linear_fit.h"

namespace moefy::route {

at::Tensor Floats(const at::Tensor& tensor) { return tensor.to(at::kFloat).contiguous(); }

at::Tensor Penalised(const at::Tensor& gram, double strength) {
  at::Tensor out = gram.clone();
  out.diagonal().add_(gram.diagonal().mean().clamp_min(1e-12) * strength);
  return out;
}

LinearFit::LinearFit(int64_t hidden, int64_t outputs, const at::TensorOptions& options)
    : hidden_(hidden),
      gram_(at::zeros({hidden + 1, hidden + 1}, options.dtype(at::kDouble))),
      right_(at::zeros({hidden + 1, outputs}, gram_.options())) {}

void LinearFit::Add(const at::Tensor& x, const at::Tensor& target, const at::Tensor& scale,
                    double weight) {
  at::Tensor in = at::cat({x.to(at::kDouble), at::ones({x.size(0), 1}, gram_.options())}, 1);
  if (scale.defined()) in.mul_(scale);
  gram_.add_(at::mm(in.t(), in), weight);
  right_.add_(at::mm(in.t(), target.to(at::kDouble)), weight);
}

at::Tensor LinearFit::SolveWhole(double strength) const {
  return at::cholesky_solve(right_, at::linalg_cholesky(Penalised(gram_, strength))).t();
}

LinearMap LinearFit::Solve(double strength) const {
  const at::Tensor w = SolveWhole(strength);
  return {Floats(w.narrow(1, 0, hidden_)), Floats(w.select(1, hidden_))};
}

LinearMap LinearFit::SolveUnbiased(double strength) const {
  const at::Tensor gram = gram_.narrow(0, 0, hidden_).narrow(1, 0, hidden_);
  const at::Tensor right = right_.narrow(0, 0, hidden_);
  const at::Tensor w =
      at::cholesky_solve(right, at::linalg_cholesky(Penalised(gram, strength))).t();
  return {Floats(w), at::zeros({w.size(0)}, gram.options().dtype(at::kFloat))};
}

LowRankMap LinearFit::SolveLowRank(double strength, int64_t rank) const {
  // `varying` is the Gram matrix of the inputs about their mean. The last row and column of gram_
  // are the inputs' sums and their number.
  const at::Tensor total = gram_.select(1, hidden_);
  const at::Tensor count = total[hidden_].clamp_min(1e-30);
  const at::Tensor mean = total.narrow(0, 0, hidden_) / count;
  const at::Tensor varying =
      gram_.narrow(0, 0, hidden_).narrow(1, 0, hidden_) - at::outer(mean, mean) * count;
  const at::Tensor whole = SolveWhole(strength);
  const at::Tensor w = whole.narrow(1, 0, hidden_);
  const auto [values, vectors] = at::linalg_eigh(w.mm(varying).mm(w.t()), "L");
  const at::Tensor up = vectors.narrow(1, w.size(0) - rank, rank);  // of the largest values
  const at::Tensor down = up.t().mm(w);
  // The mean prediction stays what it was.
  const at::Tensor b = whole.select(1, hidden_) + (w - up.mm(down)).mv(mean);
  return {Floats(down), Floats(up), Floats(b)};
}

}  // namespace moefy::route
