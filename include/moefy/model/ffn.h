// One feed-forward network in one canonical orientation, whatever its checkpoint's layout:
//   y = act(x W_in^T + b_in) W_out + b_out
// where a neuron is a row of every matrix: W_in, W_gate and W_out are all [neurons, hidden].
// Gated FFNs: act is applied to the gate: act(x W_gate^T + b_gate) * (x W_in^T + b_in).
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <string>

#include "moefy/io/checkpoint.h"
#include "moefy/model/config.h"
#include "moefy/model/ffn_spec.h"

namespace moefy::model {

// The FFN's weights as F32 tensors in the canonical orientation. An FFN leaves those undefined that
// it does not have.
struct FfnWeights {
  at::Tensor w_in;    // [neurons, hidden]
  at::Tensor b_in;    // [neurons]
  at::Tensor w_gate;  // [neurons, hidden]
  at::Tensor w_out;   // [neurons, hidden]
  at::Tensor b_out;   // [hidden]
  Activation activation = Activation::kRelu;
  at::Tensor b_gate;  // [neurons]

  int64_t num_neurons() const { return w_in.size(0); }
  int64_t hidden() const { return w_in.size(1); }
  FfnWeights To(at::Device device) const;  // copies only what is on another device
  FfnWeights InF32() const;                // copies only what is F16 or BF16
};

// Puts the FFN's tensors, which `find` gives whole and as they are stored, into the canonical
// orientation, as views. Throws Error{kInput} for a shape that disagrees with `spec`.
FfnWeights MakeFfnWeights(const FfnSpec& spec,
                          const std::function<at::Tensor(const std::string& name)>& find);

// Reads one FFN, which may be stored as F32, F16, BF16 or F64. Throws Error{kInput} for a missing
// tensor or a shape that disagrees with `spec`.
FfnWeights ReadFfnWeights(const io::Checkpoint& checkpoint, const FfnSpec& spec);
// Reads the biases only: the matrices have their shapes and no values (device meta).
FfnWeights ReadFfnBiases(const io::Checkpoint& checkpoint, const FfnSpec& spec);

// act(x), element-wise.
at::Tensor Activate(const Activation& activation, const at::Tensor& x);
// act(gate) * up, or act(gate) * act(up): what a gated FFN makes of its two products.
at::Tensor ActivateGated(const Activation& activation, const at::Tensor& gate,
                         const at::Tensor& up);

// What happens inside an FFN, for x [tokens, hidden].
struct FfnSteps {
  at::Tensor act;  // [tokens, neurons] the activation's outputs; in gated FFNs, those of the gate
  at::Tensor up;   // [tokens, neurons] x W_in^T + b_in of a gated FFN; else undefined
  at::Tensor down_in;  // [tokens, neurons] what enters W_out: act, or ActivateGated()
};
FfnSteps RunFfnSteps(const FfnWeights& ffn, const at::Tensor& x);

// What enters W_out: x [tokens, hidden] -> [tokens, neurons].
at::Tensor NeuronActivations(const FfnWeights& ffn, const at::Tensor& x);

}  // namespace moefy::model
