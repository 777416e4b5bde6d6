// What a model computes and reads outside its FFNs, told from its config: the linear maps of
// attention or of a recurrent unit, scores and sums over keys, logits. Norms, embeddings, heads
// other than a language model's and activations in between are left out. Values, thread-safe.
#pragma once

#include <cstdint>

#include "moefy/model/config.h"

namespace moefy::model {

struct Work {
  double flops = 0;
  double weights = 0;      // of linear maps, read once per run of the stack
  double cache_bytes = 0;  // keys and values of earlier tokens, or recurrent units' cells, F32

  Work& operator+=(const Work& other);
};

// What runs through a stack at once.
struct StackInput {
  double tokens = 0;         // of all texts together
  double keys = 0;           // that these tokens see, summed over them; a decoder's own
  double texts = 0;          // only a decoder's: their caches are read
  double cached = 0;         // of those keys, so many are read from a text's cache
  double memory = 0;         // an encoder's tokens per text, which a decoder sees besides
  bool reads_memory = true;  // keys and values of `memory` are there already
  double logits = 0;         // rows of a language model's logits
};

// The stack's attention, and the logits where there are any.
Work AttentionWork(const ModelConfig& config, const StackConfig& stack, const StackInput& input);
// Its FFNs, run densely.
Work DenseFfnWork(const ModelConfig& config, const StackConfig& stack, double tokens);

}  // namespace moefy::model
