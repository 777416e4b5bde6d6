// Calls of the runtime that work on plain memory, for tests that have tensors.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "runtime/run_experts.h"

namespace moefy::tests {

// x [tokens, hidden] -> [tokens, hidden]
inline at::Tensor RunRouted(const runtime::ExpertWeights& experts,
                            const runtime::RouterWeights& router, const route::SelectionRule& rule,
                            const at::Tensor& x, runtime::SparseCounters* counters = nullptr) {
  at::Tensor y = at::empty_like(x);
  runtime::RunRoutedRows(experts, router, rule, x.data_ptr<float>(), x.size(0), y.data_ptr<float>(),
                         counters);
  return y;
}

inline at::Tensor RunAllExperts(const runtime::ExpertWeights& experts, const at::Tensor& x,
                                runtime::SparseCounters* counters = nullptr) {
  at::Tensor y = at::empty_like(x);
  runtime::RunAllExpertRows(experts, x.data_ptr<float>(), x.size(0), y.data_ptr<float>(), counters);
  return y;
}

// Expects that a token which differs from x in `spoilt` by numbers that are not finite gets no
// finite number, and that all others get what they get without it.
inline void ExpectSpoilsOneToken(const runtime::ExpertWeights& experts, const at::Tensor& x,
                                 const at::Tensor& spoilt, int64_t token,
                                 const at::Tensor& chosen) {
  const at::Tensor clean = runtime::RunExperts(experts, x, chosen);
  const at::Tensor y = runtime::RunExperts(experts, spoilt, chosen);
  for (int64_t t = 0; t < x.size(0); ++t) {
    if (t == token) {
      EXPECT_TRUE(y[t].isnan().all().item<bool>());
    } else {
      EXPECT_TRUE(at::equal(y[t], clean[t]));
    }
  }
}

}  // namespace moefy::tests
