#include "route/top_k.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
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

// Puts the k largest of `count` different keys first, in no order. As std::nth_element, but without
// branches that depend on the keys: of hundreds of experts half of those would be mispredicted.
void PutLargestFirst(uint64_t* keys, int64_t count, int64_t k) {
  constexpr int64_t kSamples = 15, kFew = 24;
  int64_t begin = 0, end = count;  // where the k-th largest is
  while (end - begin > kFew) {
    uint64_t samples[kSamples];
    for (int64_t i = 0; i < kSamples; ++i) {
      samples[i] = keys[begin + (2 * i + 1) * (end - begin) / (2 * kSamples)];
    }
    const int64_t rank = (k - begin) * kSamples / (end - begin + 1);
    std::nth_element(samples, samples + rank, samples + kSamples, std::greater<>());
    const uint64_t pivot = samples[rank];
    int64_t middle = begin;
    for (int64_t i = begin; i < end; ++i) {
      const uint64_t key = keys[i];
      keys[i] = keys[middle];
      keys[middle] = key;
      middle += key >= pivot;
    }
    if (middle == k) return;
    if (middle == end) break;  // the pivot was the smallest
    (middle > k ? end : begin) = middle;
  }
  std::nth_element(keys + begin, keys + (k - 1), keys + end, std::greater<>());
}

}  // namespace

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
    PutLargestFirst(keys + num_shared, num_experts - num_shared, k - num_shared);
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

void SelectTopKInOrder(const float* scores, int64_t num_experts, int64_t k, int32_t* out) {
  // Without the sign, the bits of numbers are in the order of their magnitudes. The upper bits are
  // counted first; then only those experts are looked at whose upper bits are the k-th largest.
  constexpr int kShift = 20;
  constexpr size_t kBins = size_t{1} << (31 - kShift);
  const auto bits = [&](int64_t i) { return std::bit_cast<uint32_t>(scores[i]) & 0x7fffffffu; };
  if (k <= 0) return;
  std::array<int32_t, kBins> counts = {};
  for (int64_t i = 0; i < num_experts; ++i) ++counts[bits(i) >> kShift];
  int64_t above = 0;  // experts in bins above `bin`
  size_t bin = kBins - 1;
  while (bin > 0 && above + counts[bin] < k) above += counts[bin--];
  thread_local std::vector<uint32_t> in_bin;
  in_bin.clear();
  for (int64_t i = 0; i < num_experts; ++i) {
    if (bits(i) >> kShift == bin) in_bin.push_back(bits(i));
  }
  const auto wanted = in_bin.begin() + (k - above - 1);
  std::nth_element(in_bin.begin(), wanted, in_bin.end(), std::greater<>());
  const uint32_t least = *wanted;
  int64_t equal = k;  // how many that score exactly so much are chosen: the first ones
  for (int64_t i = 0; i < num_experts; ++i) equal -= bits(i) > least;
  int64_t count = 0;
  for (int64_t i = 0; i < num_experts && count < k; ++i) {
    const uint32_t value = bits(i);
    const bool takes = value > least || (value == least && equal > 0);
    equal -= value == least;
    out[count] = static_cast<int32_t>(i);
    count += takes;
  }
}

}  // namespace moefy::route
