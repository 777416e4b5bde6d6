// Disentangled attention: scores of content and relative position apart. He et al., arXiv
// 2006.03654; source: modeling_deberta_v2.py of Hugging Face transformers 5.24.
// Thread-safety: pure functions.
#pragma once

#include <ATen/ATen.h>

#include <functional>

#include "model/layers.h"
#include "moefy/model/config.h"

namespace moefy::model {

// Where a key that is `relative` = query - key positions away stands in buckets: itself when it is
// near, logarithmically so up to `max_distance`. 0 of those: always itself.
int64_t LogarithmicBucket(int64_t relative, int64_t num_buckets, int64_t max_distance);

// What positions add to the scores of self-attention, as ScoreBias::of_layer: products of queries
// with the keys of relative positions, and of keys with their queries, made by the same maps from
// `positions` [2 * buckets, hidden]. `states` has the queries too.
std::function<at::Tensor(int64_t first, int64_t count)> DisentangledBias(
    const ModelConfig& config, const Attention& attention, const at::Tensor& positions,
    const KeysValues& states, const Packing& packing);

}  // namespace moefy::model
