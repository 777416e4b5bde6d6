#include "route/budget.h"

#include <algorithm>
#include <utility>

#include "moefy/base/error.h"
#include "route/top_k.h"

namespace moefy::route {
namespace {

// The error per cost that each further expert takes away: one entry per expert, falling. The
// entries of shared experts mean nothing. They come from the lower convex hull of the FFN's curve,
// which begins at error 1 where nothing runs, or where only the shared experts do.
std::vector<double> Gains(const BudgetedFfn& ffn) {
  MOEFY_CHECK(ffn.errors.size() == kCurveRatios.size());
  const double shared_ratio =
      static_cast<double>(ffn.num_shared) / static_cast<double>(ffn.num_experts);
  std::vector<std::pair<double, double>> hull = {{0.0, 1.0}};
  const auto slope = [](const auto& a, const auto& b) {
    return (b.second - a.second) / (b.first - a.first);
  };
  for (size_t i = 0; i < kCurveRatios.size(); ++i) {
    const std::pair<double, double> point(std::max(kCurveRatios[i], shared_ratio), ffn.errors[i]);
    if (kCurveRatios[i] <= shared_ratio) {  // the shared experts alone
      hull = {point};
      continue;
    }
    while (hull.size() > 1 &&
           slope(hull[hull.size() - 2], hull.back()) >= slope(hull.back(), point))
      hull.pop_back();
    hull.push_back(point);
  }
  std::vector<double> gains;
  size_t segment = 1;
  for (int64_t e = 0; e < ffn.num_experts; ++e) {
    const double middle = (static_cast<double>(e) + 0.5) / static_cast<double>(ffn.num_experts);
    while (hull[segment].first < middle) ++segment;
    gains.push_back(-slope(hull[segment - 1], hull[segment]) /
                    (ffn.expert_cost * static_cast<double>(ffn.num_experts)));
  }
  return gains;
}

}  // namespace

std::vector<int64_t> SpendBudget(const std::vector<BudgetedFfn>& ffns, double ffn_ratio) {
  NumSelected(ffn_ratio, 1);  // checks the ratio
  struct Step {
    double gain;
    size_t ffn;
  };
  std::vector<Step> steps;
  std::vector<int64_t> counts;
  double left = 0;
  for (size_t i = 0; i < ffns.size(); ++i) {
    counts.push_back(std::max<int64_t>(1, ffns[i].num_shared));
    left += ffn_ratio * ffns[i].expert_cost * static_cast<double>(ffns[i].num_experts);
    left -= ffns[i].expert_cost * static_cast<double>(counts[i]);
    const std::vector<double> gains = Gains(ffns[i]);
    for (auto e = static_cast<size_t>(counts[i]); e < gains.size(); ++e) {
      steps.push_back({gains[e], i});
    }
  }
  left *= 1 + 1e-9;  // sums of shares that should be whole
  std::ranges::stable_sort(steps, [](const Step& a, const Step& b) { return a.gain > b.gain; });
  for (const auto& [gain, i] : steps) {
    if (ffns[i].expert_cost > left) continue;
    left -= ffns[i].expert_cost;
    ++counts[i];
  }
  return counts;
}

}  // namespace moefy::route
