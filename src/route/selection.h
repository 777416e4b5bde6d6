// From scores to chosen experts: what a selection's name means, and the policies. Of an FFN's
// experts the first num_shared run for every token, whatever they score, and count in every share
// (split/shared_experts.h); a router chooses among the others. Pure functions.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace moefy::route {

// Who scores and how scores become a choice: "ROUTER", "ROUTER:POLICY", as in "mlp:threshold", and
// either with "/SHARE", as in "mlp/0.5": of the chosen experts' neurons only this share goes
// through W_out, those with the largest contributions (route/neuron_share.h).
struct Selection {
  std::string router;                                     // of RouterNames()
  std::string policy = kTopK;                             // of PolicyNames()
  std::optional<double> neuron_share;                     // above 0, at most 1; or as stored
  static constexpr const char* kTopK = "top-k";           // as many experts for every token
  static constexpr const char* kThreshold = "threshold";  // those that score so much: dynamic k
  static constexpr const char* kBudget = "budget";        // top-k, more of it where that helps most
};
const std::vector<std::string>& PolicyNames();
// Error{kUsage} for a router or policy that there is not, with the nearest name.
Selection ParseSelection(const std::string& text);

// Whole experts that are a share of an FFN's work: round(ffn_ratio * num_experts), and at least one
// and all that are shared, where a ratio in (0, 1] is expected. Error{kUsage} otherwise.
int64_t NumSelected(double ffn_ratio, int64_t num_experts, int64_t num_shared = 0);

// The k experts of each token, the shared and the highest-scored of the others: [tokens, experts]
// -> [tokens, k] I64, unordered but for the shared, which come first. num_shared <= k.
at::Tensor SelectTopK(const at::Tensor& scores, int64_t k, int64_t num_shared = 0);

// The same as Bool [tokens, experts], true where an expert runs.
at::Tensor TopKMask(const at::Tensor& scores, int64_t k, int64_t num_shared = 0);

// The same for one token: scores[num_experts] -> out[k]. `keys` is room for a number per expert.
void SelectTopK(const float* scores, int64_t num_experts, int64_t k, int64_t num_shared,
                uint64_t* keys, int32_t* out);

// Dynamic k, one threshold for all tokens of an FFN (an easy token needs fewer experts; D2DMoE,
// arXiv 2310.04361, and others): scores [tokens, experts] -> F32 [101], entry i the score that i %
// of all pairs of a token and an expert that is not shared reach.
at::Tensor ThresholdTable(const at::Tensor& scores, int64_t num_shared = 0);
// The threshold for a mean ffn ratio in (0, 1] of an FFN where `shared_ratio` of the experts are
// shared; -infinity for 1, infinity where the shared ones are all that may run.
float ThresholdFor(const at::Tensor& table, double ffn_ratio, double shared_ratio = 0);

// The ffn ratios at which the output error of an FFN is known.
inline constexpr std::array<double, 10> kCurveRatios = {0.05, 0.1, 0.15, 0.2, 0.3,
                                                        0.4,  0.5, 0.6,  0.8, 1.0};

// What the budget is spent on.
struct BudgetedFfn {
  int64_t num_experts = 0;
  double expert_cost = 0;      // of running one expert: its neurons times the FFN's tokens
  std::vector<double> errors;  // relative output error at kCurveRatios
  int64_t num_shared = 0;
};
// Experts per FFN, shared ones counted: the least sum of errors for `ffn_ratio` of the whole cost,
// never more than that but for the shared experts, or one, in every FFN. Greedy on the lower convex
// hull of each curve, which is optimal for it.
std::vector<int64_t> SpendBudget(const std::vector<BudgetedFfn>& ffns, double ffn_ratio);

}  // namespace moefy::route
