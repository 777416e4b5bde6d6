// The experts of one FFN in the shapes that engines want, with W_out multiplied so that the
// engine's weights of experts come to 1. Pure functions.
#pragma once

#include <ATen/ATen.h>

#include "export/plan.h"
#include "split/moe_checkpoint.h"

namespace moefy::exports {

// F32. An expert's matrices are [neurons, hidden], [neurons, hidden] and [hidden, neurons].
struct ExpertMatrices {
  at::Tensor w_gate, w_in, w_out;                       // [experts, ...]: those that are chosen
  at::Tensor shared_w_gate, shared_w_in, shared_w_out;  // all shared ones as one; or undefined
};
ExpertMatrices ReadExpertMatrices(const split::MoeCheckpoint& moe, size_t ffn_idx,
                                  const ExportPlan& plan);

// The row that a sigmoid of the shared expert's weight is of: so near zero that the weight is 1/2.
// It is not zero because llama.cpp divides by the product with it.
at::Tensor SharedGate(int64_t hidden);  // [1, hidden]

}  // namespace moefy::exports
