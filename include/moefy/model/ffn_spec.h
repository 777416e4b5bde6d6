// Where an FFN's tensors are in a checkpoint. No tensors, no Torch. Value, thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "moefy/model/config.h"

namespace moefy::model {

// Names of absent tensors are empty.
struct FfnSpec {
  std::string name;         // "encoder.ffn.0", "decoder.ffn.1", or "ffn.0" in one-stack models
  std::string w_in;         // stored [neurons, hidden]
  std::string b_in;         // [neurons]
  std::string w_gate;       // stored [neurons, hidden]
  std::string b_gate;       // [neurons]
  std::string w_out;        // stored [hidden, neurons]
  std::string b_out;        // [hidden]
  bool transposed = false;  // the matrices are stored the other way round (GPT-2's Conv1D)
  int64_t hidden = 0;
  int64_t num_neurons = 0;
  // So many layers one after the other use these tensors (ALBERT; else one). It is one FFN all the
  // same: recorded, split and routed once, on what all of them give it. Its name is the first's;
  // what is computed on the way is named by layer.
  int64_t num_layers = 1;
  Activation activation = Activation::kRelu;
  // It is an expert of a mixture that the checkpoint brings, and sees the tokens that the model's
  // own router sends to it. Its name is its layer's and its own: "ffn.3.expert.7", "ffn.3.shared".
  bool of_mixture = false;

  bool gated() const { return !w_gate.empty(); }
  // W_gate and W_in are one tensor, stored [2 neurons, hidden], and so are their biases: the
  // gate's neurons first, the others behind them in the same order.
  bool fused() const { return gated() && w_gate == w_in; }
};

}  // namespace moefy::model
