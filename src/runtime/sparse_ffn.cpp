#include "runtime/sparse_ffn.h"

#include <algorithm>

#include "base/buffer.h"
#include "base/stopwatch.h"
#include "moefy/base/error.h"
#include "route/top_k.h"
#include "runtime/select_experts.h"

namespace moefy::runtime {
SparseFeedForward::SparseFeedForward(std::shared_ptr<const ExpertWeights> experts,
                                     std::shared_ptr<route::Router> router,
                                     const route::SelectionRule& rule,
                                     const route::Correction& correction)
    : experts_(std::move(experts)), router_(std::move(router)), rule_(rule) {
  MOEFY_CHECK(rule.num_selected >= 0 && rule.num_shared >= 0 &&
              rule.num_chosen() <= experts_->num_experts);
  dense_ =
      route::AllAreLessWork(rule_, experts_->num_experts, experts_->neurons_per_expert,
                            2.0 * static_cast<double>(experts_->num_matrices() * experts_->hidden),
                            router_->FlopsPerToken());
  if (dense_) return;
  work_per_token_ = router_->FlopsPerToken();
  packed_router_ = PackRouter(*router_, experts_->format);
  if (!correction.defined()) return;
  work_per_token_ += correction.FlopsPerToken();
  correction_down_ =
      std::make_unique<PackedLinear>(correction.down, at::Tensor(), WeightFormat::kF32);
  correction_up_ =
      std::make_unique<PackedLinear>(correction.up, correction.bias, WeightFormat::kF32);
}

SparseFeedForward::SparseFeedForward(std::shared_ptr<const ExpertWeights> experts,
                                     std::shared_ptr<route::Router> router, double ffn_ratio)
    : SparseFeedForward(experts, std::move(router),
                        route::SelectionRule{route::NumSelected(ffn_ratio, experts->num_experts)}) {
}

at::Tensor SparseFeedForward::Forward(const at::Tensor& x) {
  MOEFY_CHECK(x.dim() == 2 && x.scalar_type() == at::kFloat);
  const at::Tensor in = x.contiguous();
  at::Tensor y = at::empty_like(in, at::MemoryFormat::Contiguous);
  ForwardInto(in.data_ptr<float>(), x.size(0), x.size(1), y.data_ptr<float>());
  return y;
}

void SparseFeedForward::ForwardInto(const float* x, int64_t tokens, int64_t hidden, float* y) {
  MOEFY_CHECK(hidden == experts_->hidden);
  const Stopwatch stopwatch;
  if (dense_) {
    RunAllExpertRows(*experts_, x, tokens, y, &counters_);
    counters_.dense_tokens += tokens;
  } else if (packed_router_.storage) {
    RunRoutedRows(*experts_, packed_router_, rule_, x, tokens, y, &counters_);
  } else {
    const int64_t num_chosen = rule_.num_chosen();
    ScoreRows(x, tokens);
    GrowTo(chosen_, tokens * num_chosen);
    SelectRows(scores_.data(), tokens, experts_->num_experts, rule_, chosen_.data());
    RunExpertRows(*experts_, x, tokens, chosen_.data(), num_chosen, y, &counters_);
  }
  if (correction_down_) AddCorrection(x, tokens, y);
  counters_.router_flops += work_per_token_ * static_cast<double>(tokens);
  counters_.seconds += stopwatch.Seconds();
}

void SparseFeedForward::ScoreRows(const float* x, int64_t tokens) {
  GrowTo(scores_, tokens * experts_->num_experts);
  const at::Tensor scores =
      router_->Scores(at::from_blob(const_cast<float*>(x), {tokens, experts_->hidden}, at::kFloat))
          .contiguous();
  std::copy_n(scores.data_ptr<float>(), scores.numel(), scores_.data());
}

void SparseFeedForward::AddCorrection(const float* x, int64_t tokens, float* y) {
  const int64_t size = tokens * experts_->hidden;
  GrowTo(narrow_, tokens * correction_down_->out());
  GrowTo(correction_, size);
  correction_down_->ForwardInto(x, tokens, narrow_.data());
  correction_up_->ForwardInto(narrow_.data(), tokens, correction_.data());
  for (int64_t i = 0; i < size; ++i) y[i] += correction_[static_cast<size_t>(i)];
}

std::unique_ptr<SparseFeedForward> MakeSparse(std::shared_ptr<const ExpertWeights> packed,
                                              const route::RoutedFfn& ffn) {
  const at::Tensor& min_magnitude = ffn.plan.min_magnitude;
  if (ffn.compensation.defined() || min_magnitude.defined()) {
    ExpertWeights experts = *packed;  // shares the weights
    if (ffn.compensation.defined()) {
      experts = WithCompensation(std::move(experts), ffn.compensation);
    }
    if (min_magnitude.defined()) experts = WithMinMagnitude(std::move(experts), min_magnitude);
    packed = std::make_shared<const ExpertWeights>(std::move(experts));
  }
  return std::make_unique<SparseFeedForward>(std::move(packed), ffn.router, ffn.plan.rule,
                                             ffn.correction);
}

}  // namespace moefy::runtime
