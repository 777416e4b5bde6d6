#include "route/first_product_router.h"

#include <algorithm>
#include <utility>

#include "moefy/base/error.h"
#include "moefy/base/progress.h"
#include "route/expert_mask.h"
#include "route/output_error.h"
#include "route/training_tokens.h"

namespace moefy::route {
namespace {

// The magnitudes of one first product, [tokens, neurons].
at::Tensor Magnitudes(const model::FfnWeights& ffn, int64_t index, const at::Tensor& x) {
  if (index == 1) {
    const at::Tensor up = at::linear(x, ffn.w_in, ffn.b_in);
    return (ffn.activation.on_both ? model::Activate(ffn.activation, up) : up).abs();
  }
  const bool gated = ffn.w_gate.defined();
  const at::Tensor product =
      gated ? at::linear(x, ffn.w_gate, ffn.b_gate) : at::linear(x, ffn.w_in, ffn.b_in);
  return model::Activate(ffn.activation, product).abs();
}

// The mean magnitudes over all tokens that are learned from: [matrices, neurons].
at::Tensor MeanMagnitudes(const FitRequest& request, int64_t matrices) {
  at::Tensor sums =
      at::zeros({matrices, request.ffn.num_neurons()}, request.held_x.options().dtype(at::kDouble));
  double tokens = 0;
  for (int64_t pass = 0; pass < request.num_batches; ++pass) {
    for (const at::Tensor& part : request.inputs(pass).split(kChunkTokens)) {
      ThrowIfInterrupted();
      for (int64_t m = 0; m < matrices; ++m) {
        sums[m].add_(Magnitudes(request.ffn, m, part).sum(0, false, at::kDouble));
      }
      tokens += static_cast<double>(part.size(0));
    }
  }
  return (sums / tokens).to(at::kFloat);
}

}  // namespace

int64_t FirstProductIndex(const at::Tensor& worth) {
  return worth.size(0) == 2 && worth[1].any().item<bool>() ? 1 : 0;
}

FirstProductRouter::FirstProductRouter(at::Tensor worth, int64_t num_experts, int64_t hidden,
                                       ReadFfn read)
    : worth_(std::move(worth)), num_experts_(num_experts), hidden_(hidden), read_(std::move(read)) {
  MOEFY_CHECK(worth_.dim() == 2 && worth_.size(1) % num_experts == 0);
}

at::Tensor FirstProductRouter::Scores(const at::Tensor& x) {
  if (!ffn_) ffn_ = read_();
  const int64_t index = FirstProductIndex(worth_);
  const at::Tensor scores = Magnitudes(*ffn_, index, x) * worth_[index];
  return scores.view({x.size(0), num_experts_, -1}).sum(2);
}

double FirstProductRouter::FlopsPerToken() const {
  return 2.0 * static_cast<double>(hidden_ * worth_.size(1));
}

Fitted FitFirstProduct(const FitRequest& request) {
  constexpr int64_t kJudgedTokens = 1024;
  const model::FfnWeights& ffn = request.ffn;
  const int64_t matrices = ffn.w_gate.defined() ? 2 : 1;
  const at::Tensor x = request.held_x.slice(
      0, 0, request.held_x.size(0), std::max<int64_t>(1, request.held_x.size(0) / kJudgedTokens));
  const OutputSample sample(ffn, x, request.num_experts);
  if (request.options.product == kGateAlone) {
    at::Tensor worth = at::zeros({matrices, ffn.num_neurons()}, request.held_x.options());
    worth[0].fill_(1);
    return {std::make_unique<FirstProductRouter>(worth, request.num_experts, ffn.hidden(),
                                                 [ffn] { return ffn; }),
            0};
  }
  const at::Tensor lengths = ffn.w_out.norm(2, {1});  // [neurons]
  const at::Tensor means = MeanMagnitudes(request, matrices);
  Fitted best;
  double least = 0;
  for (int64_t index = 0; index < matrices; ++index) {
    at::Tensor worth = at::zeros_like(means);
    // What it is multiplied with is not known yet, so its mean stands for it.
    worth[index] = matrices == 1 ? lengths : lengths * means[1 - index];
    auto router = std::make_unique<FirstProductRouter>(worth, request.num_experts, ffn.hidden(),
                                                       [ffn] { return ffn; });
    const double error = sample.Error(MaskFor({request.rule}, router->Scores(x)));
    if (best.router && !(error < least)) continue;
    least = error;
    best = {std::move(router), 0};
  }
  return best;
}

}  // namespace moefy::route
