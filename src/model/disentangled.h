// Disentangled attention: content and relative positions have scores of their own. He et al., arXiv
// 2006.03654; source: modeling_deberta_v2.py of Hugging Face transformers 5.24.
// Thread-safety: pure functions.
#pragma once

#include <ATen/ATen.h>

#include <functional>

#include "model/layers.h"
#include "moefy/model/config.h"

namespace moefy::model {

// The bucket of a key that is `relative` = query - key positions away: `relative` itself for near
// keys, up to half of num_buckets, and logarithmic from there to `max_distance`. If max_distance is
// 0, `relative` itself for all keys.
int64_t LogarithmicBucket(int64_t relative, int64_t num_buckets, int64_t max_distance);

// What relative positions add to the scores of self-attention, as ScoreBias::of_layer: products of
// the queries with the positions' keys, and of the keys with the positions' queries. The layer's
// own maps make these from `positions` [2 * buckets, hidden]. `states` must have its queries.
std::function<at::Tensor(int64_t first, int64_t count)> DisentangledBias(
    const ModelConfig& config, const Attention& attention, const at::Tensor& positions,
    const KeysValues& states, const Packing& packing);

}  // namespace moefy::model
