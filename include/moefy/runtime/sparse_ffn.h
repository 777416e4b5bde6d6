// The sparse FFN: routes each token and reads and multiplies only the chosen experts' weights.
// Thread-safety: one call at a time per object; parallel inside.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "moefy/model/feed_forward.h"
#include "moefy/route/router.h"
#include "moefy/runtime/expert_weights.h"

namespace moefy::runtime {

// What was really done since the last reset.
struct SparseCounters {
  int64_t tokens = 0;
  int64_t expert_tokens = 0;      // (token, expert) pairs evaluated
  int64_t neurons_evaluated = 0;  // neuron x token
  int64_t neurons_total = 0;      // what dense would have evaluated
  int64_t expert_loads = 0;       // experts whose weights were read, per 512 tokens of a call
  int64_t weight_bytes_read = 0;  // of expert weights: each expert once per 512 tokens of a call
  double router_flops = 0;
  double expert_flops = 0;
  double seconds = 0;  // wall time inside Forward

  double FfnRatio() const {
    return neurons_total == 0
               ? 0
               : static_cast<double>(neurons_evaluated) / static_cast<double>(neurons_total);
  }
  SparseCounters& operator+=(const SparseCounters& other);
};

// The computation alone, without a router: x [tokens, hidden], chosen [tokens, k] I64 expert
// indices without repeats in a row -> [tokens, hidden]. Results do not depend on the number of
// threads. MOEFY_CHECKs shapes; indices out of range are a bug of the caller's.
at::Tensor RunExperts(const ExpertWeights& experts, const at::Tensor& x, const at::Tensor& chosen,
                      SparseCounters* counters = nullptr);

// The instruction set RunExperts computes with on this machine: "AVX2", "AVX3" (AVX-512), ...
std::string InstructionSet();

class SparseFeedForward final : public model::FeedForward {
 public:
  // Runs round(ffn_ratio * experts) experts per token, chosen by `router`.
  SparseFeedForward(std::shared_ptr<const ExpertWeights> experts,
                    std::shared_ptr<route::Router> router, double ffn_ratio);
  at::Tensor Forward(const at::Tensor& x) override;

  const SparseCounters& counters() const { return counters_; }
  void ResetCounters() { counters_ = {}; }

 private:
  std::shared_ptr<const ExpertWeights> experts_;
  std::shared_ptr<route::Router> router_;
  int64_t num_selected_;
  SparseCounters counters_;
};

}  // namespace moefy::runtime
