#include "route/threshold.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "moefy/base/error.h"
#include "route/top_k.h"

namespace moefy::route {
namespace {

// In the place of a share of a best score that is not more than 0. Tables hold finite numbers.
constexpr float kNoShare = -1e30f;

}  // namespace

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
  const float threshold = values[below] + share * (values[below + 1] - values[below]);
  // The least score of all is reached by every expert. Where many have it, as the neurons have that
  // a ReLU silences, none of them runs.
  const float least = values[table.numel() - 1];
  if (threshold > least || values[0] == least) return threshold;
  return std::nextafter(least, std::numeric_limits<float>::infinity());
}

at::Tensor SharesOfBest(const at::Tensor& scores, int64_t num_shared) {
  const at::Tensor routed = scores.narrow(1, num_shared, scores.size(1) - num_shared);
  const at::Tensor best = routed.amax(1, /*keepdim=*/true);
  const at::Tensor shares = at::where(best > 0, routed / best.clamp_min(1e-30), best);
  return shares.masked_fill((best <= 0).logical_and(routed < best), kNoShare)
      .masked_fill(routed == best, 1);
}

double ShareReaching(const at::Tensor& table, double score) {
  const float* const values = table.data_ptr<float>();  // falling
  const int64_t last = table.numel() - 1;
  const int64_t reached =
      std::partition_point(values, values + last + 1, [&](float value) { return value >= score; }) -
      values;
  if (reached == 0) return 0;
  if (reached > last) return 1;
  const double above = values[reached - 1], below = values[reached];
  const double part = below <= kNoShare ? 0 : (above - score) / (above - below);
  return (static_cast<double>(reached - 1) + part) / static_cast<double>(last);
}

RelativeShare RelativeShareFor(const std::vector<RelativeFfn>& ffns, double ffn_ratio) {
  constexpr double kAll = -std::numeric_limits<double>::infinity();
  constexpr int kHalvings = 60;
  NumSelected(ffn_ratio, 1);  // checks the ratio
  if (ffn_ratio == 1) return {kAll, std::vector<double>(ffns.size(), 1)};
  const auto ratios_at = [&](double of_best) {
    std::vector<double> ratios;
    for (const RelativeFfn& ffn : ffns) {
      ratios.push_back(ffn.shared_ratio +
                       (1 - ffn.shared_ratio) * ShareReaching(ffn.table, of_best));
    }
    return ratios;
  };
  double total = 0, low = 0, high = 1;  // shares of the best
  for (const RelativeFfn& ffn : ffns) {
    total += ffn.cost;
    const float* const values = ffn.table.data_ptr<float>();
    for (int64_t i = 0; i < ffn.table.numel(); ++i) {
      if (values[i] > kNoShare) low = std::min(low, static_cast<double>(values[i]));
    }
  }
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    const std::vector<double> ratios = ratios_at(middle);
    double cost = 0;
    for (size_t f = 0; f < ffns.size(); ++f) cost += ratios[f] * ffns[f].cost;
    (cost > ffn_ratio * total ? low : high) = middle;
  }
  return {high, ratios_at(high)};
}

}  // namespace moefy::route
