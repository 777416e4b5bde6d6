// Calls of the runtime that work on plain memory, for tests that have tensors.
#pragma once

#include <ATen/ATen.h>

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

}  // namespace moefy::tests
