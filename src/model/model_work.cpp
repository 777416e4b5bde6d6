#include "model/model_work.h"

#include <algorithm>

namespace moefy::model {
namespace {

constexpr double kFloatBytes = 4;

}  // namespace

Work& Work::operator+=(const Work& other) {
  flops += other.flops;
  weights += other.weights;
  cache_bytes += other.cache_bytes;
  return *this;
}

Work AttentionWork(const ModelConfig& config, const StackConfig& stack, const StackInput& input) {
  const auto hidden = static_cast<double>(config.hidden);
  const auto inner = static_cast<double>(stack.num_heads * stack.head_dim);
  const auto kv_inner = static_cast<double>(stack.num_kv_heads * stack.head_dim);
  const auto layers = static_cast<double>(stack.num_layers);
  Work layer;
  const auto map = [&](double weights, double rows) {
    layer.weights += weights;
    layer.flops += 2 * weights * rows;
  };
  const bool is_second = input.memory > 0;
  if (is_second && config.recurrent_decoder) {
    map(2 * hidden * hidden, input.tokens);
    layer.cache_bytes += kFloatBytes * hidden * input.texts;
  } else {
    map(hidden * (2 * inner + 2 * kv_inner), input.tokens);
    layer.flops += 4 * inner * input.keys;
    layer.cache_bytes += 2 * kFloatBytes * kv_inner * input.cached * input.texts;
  }
  if (is_second) {  // cross-attention
    map(hidden * 2 * inner, input.tokens);
    if (!input.reads_memory) map(hidden * 2 * kv_inner, input.memory * input.texts);
    layer.flops += 4 * inner * input.memory * input.tokens;
    layer.cache_bytes += 2 * kFloatBytes * kv_inner * input.memory * input.texts;
  }
  Work all{layers * layer.flops, layers * layer.weights, layers * layer.cache_bytes};
  if (input.logits > 0) {
    const auto width =
        static_cast<double>(config.embedding_width > 0 ? config.embedding_width : config.hidden);
    const double weights = width * static_cast<double>(config.vocab_size);
    all += {2 * weights * input.logits, weights, 0};
  }
  return all;
}

Work DenseFfnWork(const ModelConfig& config, const StackConfig& stack, double tokens) {
  const double matrices = config.gated ? 3 : 2;
  const double weights = matrices * static_cast<double>(config.hidden) *
                         static_cast<double>(stack.num_neurons * stack.num_layers);
  return {2 * weights * tokens, weights, 0};
}

}  // namespace moefy::model
