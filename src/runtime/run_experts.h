// Runs chosen experts of an FFN: reads and multiplies their weights alone, tokens in chunks
// (runtime/sparse_call.h). Results do not depend on the number of threads, nor on which tokens are
// given together. Thread-safety: every call is parallel inside; calls from several threads do not
// disturb each other.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "route/ffn_plan.h"
#include "runtime/expert_weights.h"
#include "runtime/router_weights.h"

namespace moefy::runtime {

// What was really done since the last reset.
struct SparseCounters {
  int64_t tokens = 0;
  int64_t dense_tokens = 0;       // of these, run densely because that is less work
  int64_t expert_tokens = 0;      // (token, expert) pairs evaluated
  int64_t neurons_evaluated = 0;  // neuron x token
  int64_t neurons_total = 0;      // what dense would have evaluated
  int64_t expert_loads = 0;       // experts whose weights were read, per 512 tokens of a call
  int64_t weight_bytes_read = 0;  // of expert weights: each expert once per 512 tokens of a call
  double router_flops = 0;
  double expert_flops = 0;
  double seconds = 0;  // wall time inside Forward

  double FfnRatio() const {
    return neurons_total == 0
               ? 0
               : static_cast<double>(neurons_evaluated) / static_cast<double>(neurons_total);
  }
  SparseCounters& operator+=(const SparseCounters& other);
};

// The computation alone, without a router: x [tokens, hidden], chosen [tokens, k] I64 -> [tokens,
// hidden]. A row of `chosen` holds expert indices without repeats, and -1 for none, so that tokens
// may have lists of different lengths. MOEFY_CHECKs shapes; an index out of range is a bug of the
// caller's.
at::Tensor RunExperts(const ExpertWeights& experts, const at::Tensor& x, const at::Tensor& chosen,
                      SparseCounters* counters = nullptr);

// These work on plain memory: x and y [tokens, hidden] do not overlap, and `counters` may be null.
void RunExpertRows(const ExpertWeights& experts, const float* x, int64_t tokens,
                   const int64_t* chosen, int64_t num_chosen, float* y, SparseCounters* counters);
// Router, selection and experts in one parallel region, without LibTorch in between.
void RunRoutedRows(const ExpertWeights& experts, const RouterWeights& router,
                   const route::SelectionRule& rule, const float* x, int64_t tokens, float* y,
                   SparseCounters* counters);
// Every expert for every token: the dense FFN on the packed weights.
void RunAllExpertRows(const ExpertWeights& experts, const float* x, int64_t tokens, float* y,
                      SparseCounters* counters);

// The router and the selection of RunRoutedRows alone: [tokens, shared + selected] I64, -1 for
// none.
at::Tensor Route(const RouterWeights& router, const route::SelectionRule& rule,
                 const at::Tensor& x);

// The instruction set that the kernels compute with on this machine: "AVX2", "AVX3" (AVX-512), ...
std::string InstructionSet();

}  // namespace moefy::runtime
