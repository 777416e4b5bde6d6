// The sparse FFN: routes each token, then reads and multiplies only the chosen experts' weights.
// Thread-safety: one call at a time per object; parallel inside.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "moefy/model/feed_forward.h"
#include "route/routed_ffn.h"
#include "runtime/expert_weights.h"
#include "runtime/packed_linear.h"
#include "runtime/run_experts.h"

namespace moefy::runtime {

class SparseFeedForward final : public model::FeedForward {
 public:
  // `router` chooses as `rule` says. Where not all experts run, `correction` is added.
  SparseFeedForward(std::shared_ptr<const ExpertWeights> experts,
                    std::shared_ptr<route::Router> router, const route::SelectionRule& rule,
                    const route::Correction& correction = {});
  // Runs round(ffn_ratio * experts) experts per token.
  SparseFeedForward(std::shared_ptr<const ExpertWeights> experts,
                    std::shared_ptr<route::Router> router, double ffn_ratio);
  at::Tensor Forward(const at::Tensor& x) override;
  // Allocates nothing from the second call on, with routers that have a form.
  void ForwardInto(const float* x, int64_t tokens, int64_t hidden, float* y) override;

  // True where routing and the chosen experts together are no less work than all experts. Then all
  // experts run and the router does not, which is faster and closer to the dense model.
  bool runs_densely() const { return dense_; }
  const SparseCounters& counters() const { return counters_; }
  void ResetCounters() { counters_ = {}; }

 private:
  void ScoreRows(const float* x, int64_t tokens);
  void AddCorrection(const float* x, int64_t tokens, float* y);

  std::shared_ptr<const ExpertWeights> experts_;
  std::shared_ptr<route::Router> router_;
  RouterWeights packed_router_;  // empty where the router's form is kOther
  route::SelectionRule rule_;
  // The correction, whose work counts as the router's; null for none.
  std::unique_ptr<PackedLinear> correction_down_, correction_up_;
  double work_per_token_ = 0;  // FLOPs of the router and the correction
  bool dense_ = false;
  std::vector<float> scores_, narrow_, correction_;  // kept from call to call
  std::vector<int64_t> chosen_;                      // likewise
  SparseCounters counters_;
};

// The sparse FFN that runs as `ffn` says, on experts that others may share.
std::unique_ptr<SparseFeedForward> MakeSparse(std::shared_ptr<const ExpertWeights> packed,
                                              const route::RoutedFfn& ffn);

}  // namespace moefy::runtime
