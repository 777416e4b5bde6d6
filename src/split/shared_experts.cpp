#include "split/shared_experts.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "model/contribution.h"
#include "moefy/base/error.h"

namespace moefy::split {
namespace {

// The neurons that matter to a token are this share of all, those that contribute most to it
// (model/contribution.h).
constexpr double kTopShare = 0.1;

// Keeps these neurons alone: indices I64 [neurons of the result].
model::FfnWeights Only(const model::FfnWeights& ffn, const std::vector<int64_t>& neurons) {
  const at::Tensor rows = at::tensor(at::ArrayRef<int64_t>(neurons));
  model::FfnWeights part = ffn;
  for (at::Tensor* of_neurons : {&part.w_in, &part.b_in, &part.w_gate, &part.b_gate, &part.w_out}) {
    if (of_neurons->defined()) *of_neurons = of_neurons->index_select(0, rows);
  }
  return part;
}

}  // namespace

at::Tensor CountTopTokens(const model::FfnWeights& ffn, const record::RecordedInputs& inputs) {
  constexpr int64_t kTokens = 16384;
  const int64_t n = ffn.num_neurons();
  const auto num_top = std::max<int64_t>(1, std::llround(kTopShare * static_cast<double>(n)));
  at::Tensor counts = at::zeros({n}, at::kLong);
  inputs.Visit(kTokens, [&](const at::Tensor& x) {
    const at::Tensor contributions = model::UseNeurons(ffn, x).contributions;
    if (!contributions.isfinite().all().item<bool>()) {
      throw InputError("an activation is not finite; shared experts cannot be chosen");
    }
    const at::Tensor least = std::get<0>(contributions.topk(num_top, 1)).amin(1, /*keepdim=*/true);
    counts += contributions.ge(least).logical_and(contributions > 0).sum(0);
  });
  return counts;
}

ExpertPlan SplitWithShared(const Splitter& splitter, const SplitRequest& request,
                           int64_t num_shared) {
  if (num_shared == 0) return splitter.split(request);
  const int64_t n = request.ffn.num_neurons();
  MOEFY_CHECK(request.inputs && 0 < num_shared && num_shared < request.num_experts &&
              n % request.num_experts == 0);
  const at::Tensor counted = CountTopTokens(request.ffn, *request.inputs);
  const int64_t* counts = counted.data_ptr<int64_t>();
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::ranges::greater(), [&](int64_t i) { return counts[i]; });
  const auto others_begin = order.begin() + n / request.num_experts * num_shared;
  std::sort(order.begin(), others_begin);
  std::sort(others_begin, order.end());

  const std::vector<int64_t> others(others_begin, order.end());
  const model::FfnWeights rest = Only(request.ffn, others);
  const ExpertPlan plan = splitter.split({rest, request.num_experts - num_shared, request.seed,
                                          request.restarts, request.features, request.inputs});
  std::ranges::transform(plan.order(), others_begin, [&](int64_t i) { return others[i]; });
  return {std::move(order), request.num_experts, num_shared};
}

}  // namespace moefy::split
