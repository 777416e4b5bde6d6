#include "route/router_fit.h"

#include <algorithm>

#include "moefy/base/error.h"
#include "moefy/route/analytic_routers.h"
#include "moefy/route/learned_routers.h"
#include "moefy/route/selection.h"
#include "route/first_matrices.h"

namespace moefy::route {
namespace {

// Of several penalties the best is kept; each is over the mean square of an input.
constexpr double kStrengths[] = {1e-6, 1e-4, 1e-3, 1e-2};

// Sums over all tokens from which least squares follow; the last input is the constant 1.
struct Moments {
  at::Tensor gram;   // [hidden + 1, hidden + 1] F64
  at::Tensor right;  // [hidden + 1, experts] F64
};

Moments SumMoments(const FitRequest& request) {
  constexpr int64_t kChunk = 4096;
  const int64_t width = request.ffn.hidden() + 1;
  const at::TensorOptions options = request.held_x.options().dtype(at::kDouble);
  Moments sums{at::zeros({width, width}, options),
               at::zeros({width, request.num_experts}, options)};
  for (int64_t pass = 0; pass < request.num_lessons; ++pass) {
    const Lesson lesson = request.lesson(pass);
    for (int64_t begin = 0; begin < lesson.x.size(0); begin += kChunk) {
      const int64_t tokens = std::min(kChunk, lesson.x.size(0) - begin);
      const at::Tensor x = at::cat(
          {lesson.x.narrow(0, begin, tokens).to(at::kDouble), at::ones({tokens, 1}, options)}, 1);
      sums.gram.add_(at::mm(x.t(), x));
      sums.right.add_(at::mm(x.t(), lesson.target.narrow(0, begin, tokens).to(at::kDouble)));
    }
  }
  return sums;
}

at::Tensor Penalised(const at::Tensor& gram, double strength) {
  const at::Tensor size = gram.diagonal().mean().clamp_min(1e-12);
  return gram + at::eye(gram.size(0), gram.options()) * size * strength;
}

// [experts, hidden + 1] F64
at::Tensor Solve(const Moments& sums, double strength) {
  return at::cholesky_solve(sums.right, at::linalg_cholesky(Penalised(sums.gram, strength))).t();
}

at::Tensor Floats(const at::Tensor& tensor) { return tensor.to(at::kFloat).contiguous(); }

int64_t Rank(const FitRequest& request, int64_t most) {
  const int64_t wanted = request.options.width > 0
                             ? request.options.width
                             : std::max<int64_t>(4, request.ffn.hidden() / 16);
  return std::min({wanted, most, request.ffn.hidden()});
}

Fitted FitRidge(const FitRequest& request) {
  const Moments sums = SumMoments(request);
  const int64_t hidden = request.ffn.hidden();
  BestRouter best(request);
  for (const double strength : kStrengths) {
    const at::Tensor w = Solve(sums, strength);
    best.Offer(std::make_unique<LinearRouter>("ridge", Floats(w.narrow(1, 0, hidden)),
                                              Floats(w.select(1, hidden))),
               0);
  }
  return best.Take();
}

// Reduced-rank regression: the ridge solution, projected onto the directions in which its own
// predictions vary most. Source: Izenman, Journal of Multivariate Analysis 5 (1975).
Fitted FitLowRank(const FitRequest& request) {
  const Moments sums = SumMoments(request);
  const int64_t hidden = request.ffn.hidden();
  const int64_t rank = Rank(request, request.num_experts);
  // Of the inputs about their mean; the last row and column are the sums and their number.
  const at::Tensor total = sums.gram.select(1, hidden);
  const at::Tensor mean = total.narrow(0, 0, hidden) / total[hidden];
  const at::Tensor varying =
      sums.gram.narrow(0, 0, hidden).narrow(1, 0, hidden) - at::outer(mean, mean) * total[hidden];
  BestRouter best(request);
  for (const double strength : kStrengths) {
    const at::Tensor solution = Solve(sums, strength);
    const at::Tensor w = solution.narrow(1, 0, hidden);
    const auto [values, vectors] = at::linalg_eigh(w.mm(varying).mm(w.t()), "L");
    const at::Tensor up = vectors.narrow(1, request.num_experts - rank, rank);  // the largest
    const at::Tensor down = up.t().mm(w);
    // The mean prediction stays what it was.
    const at::Tensor b = solution.select(1, hidden) + (w - up.mm(down)).mv(mean);
    best.Offer(std::make_unique<LowRankRouter>(Floats(down), Floats(up), Floats(b)), 0);
  }
  return best.Take();
}

// First matrices of low rank whose products are nearest on the recorded inputs: with X^T X = L L^T,
// the leading right singular vectors of W L.
Fitted FitSketch(const FitRequest& request) {
  const int64_t hidden = request.ffn.hidden();
  const at::Tensor gram = SumMoments(request).gram.narrow(0, 0, hidden).narrow(1, 0, hidden);
  const at::Tensor lower = at::linalg_cholesky(Penalised(gram, 1e-6));
  const at::Tensor w = FirstMatrices(request.ffn).to(at::kDouble);  // [matrices, neurons, hidden]
  const at::Tensor seen = w.flatten(0, 1).mm(lower);
  const int64_t rank = Rank(request, hidden);
  const auto [values, vectors] = at::linalg_eigh(seen.t().mm(seen), "L");
  const at::Tensor leading = vectors.narrow(1, hidden - rank, rank);  // [hidden, rank]
  // W ~ (W L V) (V^T L^-1)
  const at::Tensor up = seen.mm(leading);
  const at::Tensor down = at::linalg_solve_triangular(lower.t(), leading, /*upper=*/true).t();
  const int64_t experts = request.num_experts, matrices = w.size(0), size = w.size(1) / experts;
  return {std::make_unique<SketchRouter>(
              Floats(down), Floats(up).view({matrices, experts, size, rank}),
              FirstBiases(request.ffn).view({matrices, experts, size}),
              request.ffn.w_out.norm(2, {1}).view({experts, size}), request.ffn.activation),
          0};
}

struct Fitter {
  const char* kind;
  Fitted (*fit)(const FitRequest& request);
};
constexpr Fitter kFitters[] = {{"mlp", FitMlp},       {"linear", FitLinear},
                               {"ridge", FitRidge},   {"low-rank", FitLowRank},
                               {"sketch", FitSketch}, {"regression", FitRegression}};

}  // namespace

Fitted FitRouter(const FitRequest& request) {
  const RouterKind& kind = GetRouterKind(request.options.router);
  if (kind.from_weights) return {kind.from_weights(request.ffn, request.num_experts), 0};
  for (const Fitter& fitter : kFitters) {
    if (kind.name == fitter.kind) return fitter.fit(request);
  }
  MOEFY_CHECK(false && "a router kind without a way to fit it");
  return {};
}

void BestRouter::Offer(std::unique_ptr<Router> router, int64_t epoch) {
  const double caught = CaughtShare(router->Scores(request_.held_x), request_.held_target,
                                    request_.num_selected, request_.num_shared);
  if (fitted_.router && !(caught > caught_)) return;
  caught_ = caught;
  fitted_ = {std::move(router), epoch};
}

double CaughtShare(const at::Tensor& scores, const at::Tensor& target, int64_t k,
                   int64_t num_shared) {
  const double total = target.sum(at::kDouble).item<double>();
  const at::Tensor caught = target.gather(1, SelectTopK(scores, k, num_shared));
  return total > 0 ? caught.sum(at::kDouble).item<double>() / total : 1.0;
}

}  // namespace moefy::route
