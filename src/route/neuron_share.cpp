#include "route/neuron_share.h"

#include <algorithm>
#include <cmath>

#include "moefy/base/error.h"
#include "route/budget.h"
#include "route/threshold.h"

namespace moefy::route {

FfnPortion PortionFor(double work, double neuron_share, int64_t num_experts, int64_t num_matrices,
                      bool whole_experts) {
  MOEFY_CHECK(work > 0 && neuron_share > 0 && neuron_share <= 1 && num_matrices >= 2);
  const auto matrices = static_cast<double>(num_matrices);
  const double expert_cost = (matrices - 1 + neuron_share) / matrices;
  FfnPortion portion;
  portion.num_experts = std::min(work / expert_cost, static_cast<double>(num_experts));
  if (whole_experts) portion.num_experts = std::floor(portion.num_experts + 1e-9);
  portion.neuron_share =
      std::clamp(matrices * work / portion.num_experts - (matrices - 1), neuron_share, 1.0);
  return portion;
}

at::Tensor NeuronThresholds::MinMagnitude(double expert_ratio, double neuron_share) const {
  if (neuron_share >= 1) return {};
  const auto above = static_cast<int64_t>(std::ranges::lower_bound(kCurveRatios, expert_ratio) -
                                          kCurveRatios.begin());
  const auto at = [&](int64_t i) { return ThresholdFor(tables[i], neuron_share); };
  const auto ratio = [](int64_t i) { return kCurveRatios[static_cast<size_t>(i)]; };
  const int64_t last = static_cast<int64_t>(kCurveRatios.size()) - 1;
  double least = at(std::min(above, last));
  if (above > 0 && above <= last) {
    const double to = (expert_ratio - ratio(above - 1)) / (ratio(above) - ratio(above - 1));
    least = to * least + (1 - to) * at(above - 1);
  }
  return least / norms.clamp_min(1e-30);
}

}  // namespace moefy::route
