#include "route/selection.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "moefy/base/error.h"
#include "route/router.h"

namespace moefy::route {
namespace {

// Orders as (score descending, index ascending) orders, in one comparison of integers. NaN sorts by
// its bits, so that every input has one order.
uint64_t SortKey(float score, int64_t idx) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 and 0 are equal scores
  const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return static_cast<uint64_t>(ordered) << 32 | (0xffffffffu - static_cast<uint32_t>(idx));
}

const std::string& OneOf(const std::vector<std::string>& known, const std::string& name,
                         const char* what, const std::string& selection) {
  const auto found = std::find(known.begin(), known.end(), name);
  if (found != known.end()) return *found;
  throw UsageError("unknown ", what, " ", Quoted(name), DidYouMean(name, known), "; one of ",
                   Join(known), name == selection ? "" : StrCat(" in ", Quoted(selection)));
}

// Error per cost that the next expert takes away, by the lower convex hull of an FFN's curve, which
// begins at 1 where nothing runs, or where only the shared experts do. One entry per expert,
// falling (of shared ones without meaning).
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

const std::vector<std::string>& PolicyNames() {
  static const std::vector<std::string> names = {Selection::kTopK, Selection::kThreshold,
                                                 Selection::kBudget};
  return names;
}

Selection ParseSelection(const std::string& text) {
  const size_t slash = text.find('/');
  const std::string experts = text.substr(0, slash);
  const size_t colon = experts.find(':');
  Selection selection;
  selection.router = OneOf(RouterNames(), experts.substr(0, colon), "selection", text);
  if (colon != std::string::npos) {
    selection.policy = OneOf(PolicyNames(), experts.substr(colon + 1), "selection policy", text);
  }
  if (slash == std::string::npos) return selection;
  const std::string share = text.substr(slash + 1);
  const char* const end = share.data() + share.size();
  double value = 0;
  const auto [stop, code] = std::from_chars(share.data(), end, value);
  if (code != std::errc() || stop != end || !(value > 0 && value <= 1)) {
    throw UsageError("the share of neurons in ", Quoted(text), " is ", Quoted(share),
                     "; expected one above 0 and at most 1");
  }
  selection.neuron_share = value;
  return selection;
}

int64_t NumSelected(double ffn_ratio, int64_t num_experts, int64_t num_shared) {
  if (!(ffn_ratio > 0 && ffn_ratio <= 1)) {
    throw UsageError("ffn ratio is ", ffn_ratio, "; expected a share above 0 and at most 1");
  }
  const int64_t wanted = std::llround(ffn_ratio * static_cast<double>(num_experts));
  return std::max({int64_t{1}, num_shared, wanted});
}

void SelectTopK(const float* scores, int64_t num_experts, int64_t k, int64_t num_shared,
                uint64_t* keys, int32_t* out) {
  for (int64_t e = 0; e < num_shared; ++e) out[e] = static_cast<int32_t>(e);
  for (int64_t e = num_shared; e < num_experts; ++e) keys[e] = SortKey(scores[e], e);
  if (num_shared < k && k < num_experts) {
    std::nth_element(keys + num_shared, keys + (k - 1), keys + num_experts, std::greater<>());
  }
  for (int64_t i = num_shared; i < k; ++i) {
    out[i] = static_cast<int32_t>(0xffffffffu - static_cast<uint32_t>(keys[i]));
  }
}

at::Tensor SelectTopK(const at::Tensor& scores, int64_t k, int64_t num_shared) {
  const int64_t tokens = scores.size(0), experts = scores.size(1);
  MOEFY_CHECK(1 <= k && k <= experts && 0 <= num_shared && num_shared <= k &&
              scores.scalar_type() == at::kFloat);
  const at::Tensor in = scores.to(at::kCPU).contiguous();
  at::Tensor out = at::empty({tokens, k}, at::kLong);
  const float* scores_data = in.data_ptr<float>();
  int64_t* out_data = out.data_ptr<int64_t>();
  at::parallel_for(0, tokens, 16, [&](int64_t begin, int64_t end) {
    std::vector<uint64_t> keys(experts);
    std::vector<int32_t> chosen(k);
    for (int64_t token = begin; token < end; ++token) {
      SelectTopK(scores_data + token * experts, experts, k, num_shared, keys.data(), chosen.data());
      std::copy(chosen.begin(), chosen.end(), out_data + token * k);
    }
  });
  return out.to(scores.device());
}

at::Tensor TopKMask(const at::Tensor& scores, int64_t k, int64_t num_shared) {
  return at::zeros_like(scores, at::kBool).scatter_(1, SelectTopK(scores, k, num_shared), true);
}

at::Tensor ThresholdTable(const at::Tensor& scores, int64_t num_shared) {
  constexpr int64_t kSteps = 100;
  const at::Tensor routed = scores.narrow(-1, num_shared, scores.size(-1) - num_shared);
  MOEFY_CHECK(routed.numel() > 0);
  const at::Tensor sorted = std::get<0>(routed.reshape({-1}).sort(0, /*descending=*/true));
  // Entry i: the last of the first i %, so that exactly those reach it.
  const at::Tensor at_step =
      at::arange(kSteps + 1, sorted.options().dtype(at::kLong)) * sorted.numel();
  const at::Tensor last = at_step.div(kSteps, "floor").sub_(1).clamp_min_(0);
  return sorted.index_select(0, last);
}

float ThresholdFor(const at::Tensor& table, double ffn_ratio, double shared_ratio) {
  NumSelected(ffn_ratio, 1);  // for its check
  if (ffn_ratio == 1) return -std::numeric_limits<float>::infinity();
  if (ffn_ratio <= shared_ratio) return std::numeric_limits<float>::infinity();
  const double routed_ratio = (ffn_ratio - shared_ratio) / (1 - shared_ratio);
  const double position = routed_ratio * static_cast<double>(table.numel() - 1);
  const auto below = static_cast<int64_t>(position);
  const auto share = static_cast<float>(position - static_cast<double>(below));
  const float* values = table.data_ptr<float>();
  return values[below] + share * (values[below + 1] - values[below]);
}

std::vector<int64_t> SpendBudget(const std::vector<BudgetedFfn>& ffns, double ffn_ratio) {
  NumSelected(ffn_ratio, 1);  // for its check
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
