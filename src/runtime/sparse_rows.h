// The calls of runtime/sparse_ffn.h from plain memory to plain memory: x, y [tokens, hidden], which
// do not overlap; chosen [tokens, num_chosen].
#pragma once

#include <cstdint>

#include "runtime/sparse_ffn.h"

namespace moefy::runtime {

void RunExpertRows(const ExpertWeights& experts, const float* x, int64_t tokens,
                   const int64_t* chosen, int64_t num_chosen, float* y, SparseCounters* counters);
void RunRoutedRows(const ExpertWeights& experts, const RouterWeights& router,
                   const SelectionRule& rule, const float* x, int64_t tokens, float* y,
                   SparseCounters* counters);
void RunAllExpertRows(const ExpertWeights& experts, const float* x, int64_t tokens, float* y,
                      SparseCounters* counters);
// scores [tokens, num_experts] -> chosen [tokens, shared + selected]
void SelectRows(const float* scores, int64_t tokens, int64_t num_experts, const SelectionRule& rule,
                int64_t* chosen);

}  // namespace moefy::runtime
