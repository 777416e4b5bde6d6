// How much each neuron matters to a token, and which neurons fire.
//
// Neuron i contributes to token t the length of what it adds to the FFN's output,
//   c[t, i] = |what enters W_out|[t, i] * |row i of W_out|.
// If the activation makes exact zeros (ReLU and its kin, gated or not), a neuron fires when what
// enters W_out is not zero. In other FFNs no neuron is exactly zero: there the neurons that fire
// are the fewest whose contributions sum to kFiringShare of the token's sum (and those that tie
// with the last of them). Pure functions, thread-safe.
#pragma once

#include <vector>

#include "moefy/model/ffn.h"

namespace moefy::model {

inline constexpr double kFiringShare = 0.9;

// Whether neurons that do not fire are exactly zero.
inline bool HasExactZeros(const FfnWeights& ffn) { return ffn.activation.makes_zeros(); }

// What neurons do on x [tokens, hidden].
struct NeuronUse {
  at::Tensor contributions;  // [tokens, neurons] F32
  at::Tensor fires;          // [tokens, neurons] bool
};
NeuronUse UseNeurons(const FfnWeights& ffn, const at::Tensor& x);

// For each share and token, the least number of neurons whose contributions sum to at least that
// share of the token's sum: I64 [shares, tokens]; 0 if no neuron contributes.
at::Tensor NeuronsNeeded(const at::Tensor& contributions, const std::vector<double>& shares);

}  // namespace moefy::model
