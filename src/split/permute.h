// Reorders neurons in the bytes of a stored tensor, whatever its dtype. Pure functions.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "io/rewrite_checkpoint.h"
#include "moefy/io/checkpoint.h"
#include "split/moe_checkpoint.h"

namespace moefy::split {

// Neurons are the rows of w_in, w_gate and biases and the columns of w_out. Matrices that are
// stored transposed have it the other way round. A fused pair has two rows per neuron.
enum class NeuronAxis { kRows, kColumns };

// out[position] = in[order[position]] along the axis.
struct Permutation {
  std::vector<int64_t> order;
  NeuronAxis axis;
};

// A tensor that is reordered by the plan of an FFN, as often as it has all neurons side by side.
struct ReorderedTensor {
  size_t ffn_idx;
  NeuronAxis axis;
  int64_t copies;

  Permutation By(const ExpertPlan& plan, bool inverse) const;
};

// The tensors of a checkpoint that are reordered, by name. Throws Error{kInput} for tensors that
// are missing, shaped otherwise than their FFNs, in two FFNs, or in a dtype whose neurons do not
// begin at whole bytes.
std::map<std::string, ReorderedTensor, std::less<>> ReorderedTensors(
    const io::Checkpoint& checkpoint, const std::vector<model::FfnSpec>& ffns);

// How they are reordered; `inverse` for the way back. Throws what ReorderedTensors() throws.
std::map<std::string, Permutation, std::less<>> Permutations(const io::Checkpoint& checkpoint,
                                                             const std::vector<MoeFfn>& ffns,
                                                             bool inverse);

// Reorders `bytes` into `scratch` and returns it. Permutations() has checked `info`.
std::span<const std::byte> Permute(const io::TensorInfo& info, std::span<const std::byte> bytes,
                                   const Permutation& permutation, std::vector<std::byte>& scratch);

// Permutes all tensors of a checkpoint; those that belong to no FFN stay as they are. Throws what
// Permutations() throws.
io::TensorTransform PermuteAll(const io::Checkpoint& checkpoint, const std::vector<MoeFfn>& ffns,
                               bool inverse);

}  // namespace moefy::split
