#include "route/threshold.h"

#include <limits>

#include "moefy/base/error.h"
#include "route/top_k.h"

namespace moefy::route {

at::Tensor ThresholdTable(const at::Tensor& scores, int64_t num_shared) {
  constexpr int64_t kSteps = 100;
  const at::Tensor routed = scores.narrow(-1, num_shared, scores.size(-1) - num_shared);
  MOEFY_CHECK(routed.numel() > 0);
  const at::Tensor sorted = std::get<0>(routed.reshape({-1}).sort(0, /*descending=*/true));
  // Entry i is the last score of the first i %, so that exactly those reach it.
  const at::Tensor at_step =
      at::arange(kSteps + 1, sorted.options().dtype(at::kLong)) * sorted.numel();
  const at::Tensor last = at_step.div(kSteps, "floor").sub_(1).clamp_min_(0);
  return sorted.index_select(0, last);
}

float ThresholdFor(const at::Tensor& table, double ffn_ratio, double shared_ratio) {
  NumSelected(ffn_ratio, 1);  // checks the ratio
  if (ffn_ratio == 1) return -std::numeric_limits<float>::infinity();
  if (ffn_ratio <= shared_ratio) return std::numeric_limits<float>::infinity();
  const double routed_ratio = (ffn_ratio - shared_ratio) / (1 - shared_ratio);
  const double position = routed_ratio * static_cast<double>(table.numel() - 1);
  const auto below = static_cast<int64_t>(position);
  const auto share = static_cast<float>(position - static_cast<double>(below));
  const float* values = table.data_ptr<float>();
  return values[below] + share * (values[below + 1] - values[below]);
}

}  // namespace moefy::route
