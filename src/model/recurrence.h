// A recurrent unit in place of a decoder's self-attention, the SSRU of Kim et al. 2019
// (https://aclanthology.org/D19-5632): f = sigmoid(W_f x + b_f), c = f c + (1 - f) W x, and the
// output is relu(c). Decoding remembers one row of numbers per layer, whatever the length.
// Thread-safety: pure functions.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "model/layers.h"

namespace moefy::model {

struct Recurrence {
  Linear input;   // W, without a bias
  Linear forget;  // W_f and b_f

  // Runs further tokens of every text, x [rows, hidden] as `packing` says, to [rows, hidden].
  // `cell` [batch, hidden] is c before them (undefined: zeros), and c after them when this returns;
  // padding leaves it as it is.
  at::Tensor operator()(const at::Tensor& x, const Packing& packing, at::Tensor& cell) const;
};

// The same for one token: from `input` = W x and `forget` = W_f x + b_f, all [hidden].
void RecurRow(const float* input, const float* forget, int64_t hidden, float* cell, float* out);

}  // namespace moefy::model
