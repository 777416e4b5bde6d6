#include "moefy/runtime/sparse_ffn.h"

#include <chrono>

#include "moefy/route/selection.h"

namespace moefy::runtime {

SparseFeedForward::SparseFeedForward(std::shared_ptr<const ExpertWeights> experts,
                                     std::shared_ptr<route::Router> router, double ffn_ratio)
    : experts_(std::move(experts)),
      router_(std::move(router)),
      num_selected_(route::NumSelected(ffn_ratio, experts_->num_experts)) {}

at::Tensor SparseFeedForward::Forward(const at::Tensor& x) {
  const auto start = std::chrono::steady_clock::now();
  const at::Tensor chosen = route::SelectTopK(router_->Scores(x), num_selected_);  // [tokens, k]
  at::Tensor y = RunExperts(*experts_, x, chosen, &counters_);
  counters_.router_flops += router_->FlopsPerToken() * static_cast<double>(x.size(0));
  counters_.seconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return y;
}

}  // namespace moefy::runtime
