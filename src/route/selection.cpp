#include "moefy/route/selection.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <vector>

#include "moefy/base/error.h"

namespace moefy::route {
namespace {

// Orders as (score descending, index ascending) orders, in one comparison of integers. NaN sorts by
// its bits, so that every input has one order.
uint64_t SortKey(float score, int64_t idx) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 and 0 are equal scores
  const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return static_cast<uint64_t>(ordered) << 32 | (0xffffffffu - static_cast<uint32_t>(idx));
}

}  // namespace

int64_t NumSelected(double ffn_ratio, int64_t num_experts) {
  if (!(ffn_ratio > 0 && ffn_ratio <= 1)) {
    throw UsageError("ffn ratio is ", ffn_ratio, "; expected a share above 0 and at most 1");
  }
  return std::max<int64_t>(1, std::llround(ffn_ratio * static_cast<double>(num_experts)));
}

void SelectTopK(const float* scores, int64_t first, int64_t experts, int64_t k, uint64_t* keys,
                int32_t* out) {
  for (int64_t e = first; e < experts; ++e) keys[e - first] = SortKey(scores[e], e);
  if (0 < k && k < experts - first) {
    std::nth_element(keys, keys + (k - 1), keys + (experts - first), std::greater<>());
  }
  for (int64_t i = 0; i < k; ++i) {
    out[i] = static_cast<int32_t>(0xffffffffu - static_cast<uint32_t>(keys[i]));
  }
}

at::Tensor SelectTopK(const at::Tensor& scores, int64_t k) {
  const int64_t tokens = scores.size(0), experts = scores.size(1);
  MOEFY_CHECK(1 <= k && k <= experts && scores.scalar_type() == at::kFloat);
  const at::Tensor in = scores.contiguous();
  at::Tensor out = at::empty({tokens, k}, at::kLong);
  const float* scores_data = in.data_ptr<float>();
  int64_t* out_data = out.data_ptr<int64_t>();
  at::parallel_for(0, tokens, 16, [&](int64_t begin, int64_t end) {
    std::vector<uint64_t> keys(experts);
    std::vector<int32_t> chosen(k);
    for (int64_t token = begin; token < end; ++token) {
      SelectTopK(scores_data + token * experts, 0, experts, k, keys.data(), chosen.data());
      std::copy(chosen.begin(), chosen.end(), out_data + token * k);
    }
  });
  return out;
}

}  // namespace moefy::route
