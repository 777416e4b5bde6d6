#include "moefy/runtime/sparse_ffn.h"

#include <algorithm>
#include <chrono>

#include "moefy/base/error.h"
#include "moefy/route/learned_routers.h"
#include "moefy/route/selection.h"

namespace moefy::runtime {
namespace {

bool DenseIsLessWork(const ExpertWeights& experts, const SelectionRule& rule, double router_flops) {
  if (rule.threshold > -std::numeric_limits<float>::infinity()) return false;  // how many: unknown
  const int64_t left_out = experts.num_experts - rule.num_shared - rule.num_selected;
  const int64_t neurons = left_out * experts.neurons_per_expert;
  return 2.0 * static_cast<double>(neurons * experts.num_matrices() * experts.hidden) <=
         router_flops;
}

}  // namespace

SparseFeedForward::SparseFeedForward(std::shared_ptr<const ExpertWeights> experts,
                                     std::shared_ptr<route::Router> router,
                                     const SelectionRule& rule, route::Correction correction)
    : experts_(std::move(experts)),
      router_(std::move(router)),
      rule_(rule),
      correction_(std::move(correction)) {
  MOEFY_CHECK(rule.num_selected >= 0 && rule.num_shared >= 0 &&
              rule.num_selected + rule.num_shared <= experts_->num_experts);
  dense_ = DenseIsLessWork(*experts_, rule_, router_->FlopsPerToken());
  const auto* learned = dynamic_cast<const route::MlpRouter*>(router_.get());
  if (learned && !dense_) packed_router_ = PackRouter(learned->w1(), learned->w2());
}

SparseFeedForward::SparseFeedForward(std::shared_ptr<const ExpertWeights> experts,
                                     std::shared_ptr<route::Router> router, double ffn_ratio)
    : SparseFeedForward(experts, std::move(router),
                        SelectionRule{route::NumSelected(ffn_ratio, experts->num_experts)}) {}

at::Tensor SparseFeedForward::Forward(const at::Tensor& x) {
  const auto start = std::chrono::steady_clock::now();
  at::Tensor y;
  if (dense_) {
    y = RunAllExperts(*experts_, x, &counters_);
    counters_.dense_tokens += x.size(0);
  } else {
    if (packed_router_.storage) {
      y = RunRouted(*experts_, packed_router_, rule_, x, &counters_);
    } else {
      const at::Tensor chosen = SelectExperts(router_->Scores(x), rule_);  // [tokens, k]
      y = RunExperts(*experts_, x, chosen, &counters_);
    }
    counters_.router_flops += router_->FlopsPerToken() * static_cast<double>(x.size(0));
    if (correction_.defined()) {
      y.add_(correction_.Of(x));
      counters_.router_flops += correction_.FlopsPerToken() * static_cast<double>(x.size(0));
    }
  }
  counters_.seconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return y;
}

SparseCounters& SparseCounters::operator+=(const SparseCounters& other) {
  tokens += other.tokens;
  dense_tokens += other.dense_tokens;
  expert_tokens += other.expert_tokens;
  neurons_evaluated += other.neurons_evaluated;
  neurons_total += other.neurons_total;
  expert_loads += other.expert_loads;
  weight_bytes_read += other.weight_bytes_read;
  router_flops += other.router_flops;
  expert_flops += other.expert_flops;
  seconds += other.seconds;
  return *this;
}

}  // namespace moefy::runtime
