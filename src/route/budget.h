// One budget for all FFNs of a model: more experts run where they take more error away. Pure
// functions.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace moefy::route {

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

// How many experts each FFN runs, shared ones counted: the least sum of errors for a share
// ffn_ratio in (0, 1] of the whole cost. The cost is never higher than that, except that every FFN
// runs its shared experts, or one. Greedy on the lower convex hull of each error curve, which is
// optimal for the hull. Throws Error{kUsage} for another ratio.
std::vector<int64_t> SpendBudget(const std::vector<BudgetedFfn>& ffns, double ffn_ratio);

}  // namespace moefy::route
