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

at::Tensor SelectTopK(const at::Tensor& scores, int64_t k) {
  const int64_t tokens = scores.size(0), experts = scores.size(1);
  MOEFY_CHECK(1 <= k && k <= experts && scores.scalar_type() == at::kFloat);
  const at::Tensor in = scores.contiguous();
  at::Tensor out = at::empty({tokens, k}, at::kLong);
  const float* scores_data = in.data_ptr<float>();
  int64_t* out_data = out.data_ptr<int64_t>();
  at::parallel_for(0, tokens, 16, [&](int64_t begin, int64_t end) {
    std::vector<uint64_t> keys(experts);
    for (int64_t token = begin; token < end; ++token) {
      const float* row = scores_data + token * experts;
      for (int64_t e = 0; e < experts; ++e) keys[e] = SortKey(row[e], e);
      if (k < experts) {
        std::nth_element(keys.begin(), keys.begin() + (k - 1), keys.end(), std::greater<>());
      }
      for (int64_t i = 0; i < k; ++i) {
        out_data[token * k + i] = 0xffffffffu - static_cast<uint32_t>(keys[i]);
      }
    }
  });
  return out;
}

}  // namespace moefy::route
