// Reorders neurons in the bytes of a stored tensor, whatever its dtype. Pure functions.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "moefy/io/checkpoint.h"
#include "split/moe_checkpoint.h"

namespace moefy::split {

// The neurons are the rows (w_in, w_gate, biases) or the columns (w_out) of a tensor; of matrices
// that are stored transposed the other way round. A fused pair has two rows per neuron.
enum class NeuronAxis { kRows, kColumns };

// out[position] = in[order[position]] along the axis.
struct Permutation {
  std::vector<int64_t> order;
  NeuronAxis axis;
};

// Which tensors of a checkpoint are reordered, by name, and how. `inverse`: the way back.
// Throws Error{kInput} for tensors that are missing, shaped otherwise than the plans want, in two
// FFNs, or in a dtype whose neurons do not begin at whole bytes.
std::map<std::string, Permutation, std::less<>> Permutations(const io::Checkpoint& checkpoint,
                                                             const std::vector<MoeFfn>& ffns,
                                                             bool inverse);

// `bytes` reordered into `scratch`; `info` has been checked by Permutations().
std::span<const std::byte> Permute(const io::TensorInfo& info, std::span<const std::byte> bytes,
                                   const Permutation& permutation, std::vector<std::byte>& scratch);

}  // namespace moefy::split
