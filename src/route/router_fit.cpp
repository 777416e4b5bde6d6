#include "route/router_fit.h"

#include <algorithm>

#include "moefy/base/error.h"
#include "moefy/base/progress.h"
#include "route/analytic_routers.h"
#include "route/first_matrices.h"
#include "route/first_product_router.h"
#include "route/learned_routers.h"
#include "route/linear_fit.h"
#include "route/router_learners.h"
#include "route/top_k.h"
#include "route/training_tokens.h"
#include "split/neuron_patterns.h"

namespace moefy::route {
namespace {

// The penalties that are tried, each over the mean square of an input; the best is kept.
constexpr double kRidgeStrengths[] = {1e-6, 1e-4, 1e-3, 1e-2};

// The target as shares of each token's: what is chosen is the same, and tokens with large outputs
// (the first of a text, in many language models) do not make all others look alike.
at::Tensor OfEachToken(const at::Tensor& target) {
  return target / target.mean(1, /*keepdim=*/true).clamp_min(1e-12);
}

LinearFit SumBatches(const FitRequest& request) {
  constexpr int64_t kSummedTokens = 4096;
  const bool shares = request.options.router == kUnbiased;
  LinearFit sums(request.ffn.hidden(), request.num_experts, request.held_x.options());
  for (int64_t pass = 0; pass < request.num_batches; ++pass) {
    const RouterBatch batch = request.batch(pass);
    for (int64_t begin = 0; begin < batch.x.size(0); begin += kSummedTokens) {
      ThrowIfInterrupted();
      const int64_t tokens = std::min(kSummedTokens, batch.x.size(0) - begin);
      const at::Tensor target = batch.target.narrow(0, begin, tokens);
      sums.Add(batch.x.narrow(0, begin, tokens), shares ? OfEachToken(target) : target);
    }
  }
  return sums;
}

int64_t Rank(const FitRequest& request, int64_t most) {
  const int64_t wanted = request.options.width > 0
                             ? request.options.width
                             : std::max<int64_t>(4, request.ffn.hidden() / 16);
  return std::min({wanted, most, request.ffn.hidden()});
}

Fitted FitRidge(const FitRequest& request) {
  const LinearFit sums = SumBatches(request);
  const bool unbiased = request.options.router == kUnbiased;
  BestRouter best(request);
  for (const double strength : kRidgeStrengths) {
    const auto [w, b] = unbiased ? sums.SolveUnbiased(strength) : sums.Solve(strength);
    best.Offer(std::make_unique<LinearRouter>(request.options.router, w, b), 0);
  }
  return best.Take();
}

Fitted FitLowRank(const FitRequest& request) {
  const LinearFit sums = SumBatches(request);
  const int64_t rank = Rank(request, request.num_experts);
  BestRouter best(request);
  for (const double strength : kRidgeStrengths) {
    const auto [down, up, b] = sums.SolveLowRank(strength, rank);
    best.Offer(std::make_unique<LowRankRouter>(down, up, b), 0);
  }
  return best.Take();
}

// Finds first matrices of low rank whose products are nearest on the recorded inputs. They come
// from the leading right singular vectors of W L, where X^T X = L L^T.
Fitted FitSketch(const FitRequest& request) {
  const int64_t hidden = request.ffn.hidden();
  const at::Tensor gram = SumBatches(request).gram().narrow(0, 0, hidden).narrow(1, 0, hidden);
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

// Marks each token's most active neurons (split/neuron_patterns.h), and takes for each expert the
// neuron whose marks are nearest the mean of its neurons' marks. With m_i the marks of neuron i and
// c their mean over the expert, |m_i - c|^2 = |m_i|^2 - 2 m_i c + |c|^2, which sums over tokens.
Fitted FitExemplar(const FitRequest& request) {
  const int64_t n = request.ffn.num_neurons(), experts = request.num_experts;
  at::Tensor distance = at::zeros({experts, n / experts}, request.held_x.options());
  for (int64_t pass = 0; pass < request.num_batches; ++pass) {
    for (const at::Tensor& part : request.inputs(pass).split(kChunkTokens)) {
      ThrowIfInterrupted();
      const at::Tensor marks =
          split::MarkLargest(request.ffn, part).view({-1, experts, n / experts});
      const at::Tensor mean = marks.mean(2, /*keepdim=*/true);
      distance += (marks - 2 * marks * mean).sum(0);  // marks are 0 or 1, so squares of themselves
    }
  }
  const at::Tensor nearest = distance.argmin(1);  // [experts]
  const at::Tensor neurons = nearest + at::arange(experts, nearest.options()) * (n / experts);
  return {RepresentativeRouter::Of(kExemplar, request.ffn, neurons), 0};
}

struct Fitter {
  const char* kind;
  Fitted (*fit)(const FitRequest& request);
};
constexpr Fitter kFitters[] = {{"mlp", FitMlp},
                               {"linear", FitLinear},
                               {"ridge", FitRidge},
                               {kUnbiased, FitRidge},
                               {"low-rank", FitLowRank},
                               {"sketch", FitSketch},
                               {"regression", FitRegression},
                               {kExemplar, FitExemplar},
                               {kFirstProduct, FitFirstProduct}};

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
  const double caught =
      CaughtShare(router->Scores(request_.held_x), request_.held_target, request_.rule);
  if (fitted_.router && !(caught > caught_)) return;
  caught_ = caught;
  fitted_ = {std::move(router), epoch};
}

double CaughtShare(const at::Tensor& scores, const at::Tensor& target, const SelectionRule& rule) {
  const double total = target.sum(at::kDouble).item<double>();
  const at::Tensor caught =
      target.gather(1, SelectTopK(scores, rule.num_chosen(), rule.num_shared));
  return total > 0 ? caught.sum(at::kDouble).item<double>() / total : 1.0;
}

}  // namespace moefy::route
