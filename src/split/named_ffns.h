// Finds the FFNs of a checkpoint of any family by the names of their tensors, as `moefy split
// --ffn` gives them.
//
//   W_IN:W_OUT[:gate=W_GATE|:fused][:b_in=BIAS][:b_gate=BIAS][:act=NAME][:transposed]
//
// "{}" in a name stands for a number; every number for which W_IN is in the checkpoint is an FFN.
// Matrices are stored [out, in] as in torch.nn.Linear, so W_IN and W_GATE are [neurons, hidden] and
// W_OUT is [hidden, neurons]; with `transposed` the other way round. Where b_in is not given and
// W_IN ends in ".weight", the tensor that ends in ".bias" is taken if there is one; b_gate alike.
// `act` (relu if not given) matters to the training of routers only.
#pragma once

#include <string>
#include <vector>

#include "moefy/io/checkpoint.h"
#include "moefy/model/ffn_spec.h"

namespace moefy::split {

// Returns one FFN per match, called "ffn.0", "ffn.1", ... in the order of the patterns and their
// numbers. Warns of tensors that look like entries of neurons and are named by no pattern.
// Throws Error{kUsage} for a pattern that is malformed or matches nothing (naming the nearest
// tensors), Error{kInput} listing every tensor that is missing or of another shape.
std::vector<model::FfnSpec> FindNamedFfns(const io::Checkpoint& checkpoint,
                                          const std::vector<std::string>& patterns,
                                          std::vector<std::string>& warnings);

}  // namespace moefy::split
