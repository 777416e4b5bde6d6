// The sparse FFN: routes each token and reads and multiplies only the chosen experts' weights.
// Thread-safety: one call at a time per object; parallel inside.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "moefy/model/feed_forward.h"
#include "route/output_error.h"
#include "route/router.h"
#include "runtime/expert_weights.h"
#include "runtime/packed_linear.h"

namespace moefy::runtime {

// What was really done since the last reset.
struct SparseCounters {
  int64_t tokens = 0;
  int64_t dense_tokens = 0;       // of these, run densely because that is less work
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

// Which experts a token gets.
struct SelectionRule {
  int64_t num_selected = 0;  // the best-scored so many, at most; shared experts not counted
  float threshold = -std::numeric_limits<float>::infinity();  // and only those that score so much
  int64_t num_shared = 0;  // the experts [0, num_shared) run for every token, whatever they score
};

// The computation alone, without a router: x [tokens, hidden], chosen [tokens, k] I64 expert
// indices without repeats in a row, -1 for none (so that tokens may have lists of different
// lengths) -> [tokens, hidden]. Results do not depend on the number of threads. MOEFY_CHECKs
// shapes; indices out of range are a bug of the caller's.
at::Tensor RunExperts(const ExpertWeights& experts, const at::Tensor& x, const at::Tensor& chosen,
                      SparseCounters* counters = nullptr);

// Router, selection and experts in one parallel region, without LibTorch in between.
at::Tensor RunRouted(const ExpertWeights& experts, const RouterWeights& router,
                     const SelectionRule& rule, const at::Tensor& x,
                     SparseCounters* counters = nullptr);

// The router and the selection of RunRouted alone: [tokens, shared + selected] I64, -1 for none.
at::Tensor Route(const RouterWeights& router, const SelectionRule& rule, const at::Tensor& x);

// The selection alone, of scores [tokens, experts] from any router on any device, likewise.
at::Tensor SelectExperts(const at::Tensor& scores, const SelectionRule& rule);

// Every expert for every token: the dense FFN on the packed weights.
at::Tensor RunAllExperts(const ExpertWeights& experts, const at::Tensor& x,
                         SparseCounters* counters = nullptr);

// The instruction set RunExperts computes with on this machine: "AVX2", "AVX3" (AVX-512), ...
std::string InstructionSet();

class SparseFeedForward final : public model::FeedForward {
 public:
  // Runs round(ffn_ratio * experts) experts per token, chosen by `router`.
  SparseFeedForward(std::shared_ptr<const ExpertWeights> experts,
                    std::shared_ptr<route::Router> router, double ffn_ratio);
  SparseFeedForward(std::shared_ptr<const ExpertWeights> experts,
                    std::shared_ptr<route::Router> router, const SelectionRule& rule,
                    const route::Correction& correction = {});
  at::Tensor Forward(const at::Tensor& x) override;
  // Allocates nothing from the second call on, with `mlp`, `linear` and `ridge` routers.
  void ForwardInto(const float* x, int64_t tokens, int64_t hidden, float* y) override;

  // True where routing and the chosen experts together are no less work than all experts: then all
  // run and the router does not, which is faster and closer to the dense model.
  bool runs_densely() const { return dense_; }
  const SparseCounters& counters() const { return counters_; }
  void ResetCounters() { counters_ = {}; }

 private:
  void ScoreRows(const float* x, int64_t tokens);
  void AddCorrection(const float* x, int64_t tokens, float* y);

  std::shared_ptr<const ExpertWeights> experts_;
  std::shared_ptr<route::Router> router_;
  RouterWeights packed_router_;                  // of an `mlp` router; empty for the others
  std::unique_ptr<PackedLinear> linear_router_;  // of a `linear` or `ridge` router
  SelectionRule rule_;
  // Added where not all experts run; counted as the router's work. Null for none.
  std::unique_ptr<PackedLinear> correction_down_, correction_up_;
  double work_per_token_ = 0;  // FLOPs of the router and the correction
  bool dense_ = false;
  std::vector<float> scores_, narrow_, correction_;  // kept from call to call
  std::vector<int64_t> chosen_;                      // likewise
  SparseCounters counters_;
};

}  // namespace moefy::runtime
