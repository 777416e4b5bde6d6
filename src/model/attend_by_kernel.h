// Attention of all heads through the kernel of model/row_kernels.h, for the CPU, without gradients.
// Thread-safety: pure functions; parallel inside.
#pragma once

#include <ATen/ATen.h>

#include "model/layers.h"

namespace moefy::model {

// What q [batch, heads, tokens, head_dim], not scaled yet, reads from `memory`, [batch, tokens,
// heads * head_dim]. The first query reads `visible_keys` keys, each further one a key more.
at::Tensor AttendByKernel(const Attention& attention, const at::Tensor& q, const KeysValues& memory,
                          const at::Tensor& bias, int64_t visible_keys);

// Self-attention of the texts of `packing`, one after the other: q and `memory` are [1, heads,
// rows, head_dim], and the result is [rows, heads * head_dim]. `bias` is that of a text of the
// longest one's length: it depends on the distance between tokens, never on the text.
at::Tensor AttendTexts(const Attention& attention, const at::Tensor& q, const KeysValues& memory,
                       const ScoreBias& bias, const Packing& packing);

}  // namespace moefy::model
