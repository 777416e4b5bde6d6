#include "runtime/select_experts.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>

#include "moefy/base/error.h"
#include "route/top_k.h"
#include "runtime/scratch.h"

namespace moefy::runtime {

float LeastScore(const float* scores, int64_t num_experts, const route::SelectionRule& rule) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  if (rule.of_best == kNone || rule.num_shared == num_experts) return rule.threshold;
  const float best = *std::max_element(scores + rule.num_shared, scores + num_experts);
  return std::max(rule.threshold, best > 0 ? std::min(best, rule.of_best * best) : best);
}

void SelectRow(const float* scores, int64_t num_experts, const route::SelectionRule& rule,
               uint64_t* keys, int32_t* out) {
  const int64_t num_chosen = rule.num_chosen();
  route::SelectTopK(scores, num_experts, num_chosen, rule.num_shared, keys, out);
  const float least = LeastScore(scores, num_experts, rule);
  for (int64_t i = rule.num_shared; i < num_chosen; ++i) {
    if (scores[out[i]] < least) out[i] = -1;
  }
}

void SelectRows(const float* scores, int64_t tokens, int64_t num_experts,
                const route::SelectionRule& rule, int64_t* chosen) {
  const int64_t num_chosen = rule.num_chosen();
  MOEFY_CHECK(num_chosen <= num_experts);
  at::parallel_for(0, tokens, 16, [&](int64_t begin, int64_t end) {
    Scratch& scratch = ThreadScratch();
    GrowTo(scratch.keys, num_experts);
    GrowTo(scratch.chosen, num_chosen);
    for (int64_t t = begin; t < end; ++t) {
      SelectRow(scores + t * num_experts, num_experts, rule, scratch.keys.data(),
                scratch.chosen.data());
      std::copy_n(scratch.chosen.begin(), num_chosen, chosen + t * num_chosen);
    }
  });
}

at::Tensor SelectExperts(const at::Tensor& scores, const route::SelectionRule& rule) {
  MOEFY_CHECK(scores.scalar_type() == at::kFloat);
  const int64_t tokens = scores.size(0), num_experts = scores.size(1);
  const at::Tensor in = scores.to(at::kCPU).contiguous();
  at::Tensor out = at::empty({tokens, rule.num_chosen()}, at::kLong);
  SelectRows(in.data_ptr<float>(), tokens, num_experts, rule, out.data_ptr<int64_t>());
  return out.to(scores.device());
}

}  // namespace moefy::runtime
