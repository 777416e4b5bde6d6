#include "model/stack.h"

#include <cmath>

#include "model/expected_tensors.h"
#include "model/families/families.h"
#include "model/mixture.h"
#include "model/stored_names.h"
#include "moefy/base/error.h"

namespace moefy::model {

FeedForward& Block::FeedForwardOf(const std::vector<std::unique_ptr<FeedForward>>& ffns) const {
  if (mixture) return *mixture;
  return *ffns[ffn_idx];
}

at::Tensor Builder::Find(const std::string& name) const {
  const auto found = parameters_.find(StoredName(config_, name));
  return found == parameters_.end() ? at::Tensor() : found->second;
}

at::Tensor Builder::Weight(const std::string& name) const {
  if (name.empty()) return {};
  const at::Tensor weight = Find(name + ".weight");
  MOEFY_CHECK(weight.defined());  // ReadParameters has reported missing ones
  return weight;
}

Linear Builder::MakeLinear(const std::string& name, bool transposed) const {
  if (name.empty()) return {};
  const at::Tensor weight = Weight(name);
  return {transposed ? weight.t() : weight, Find(name + ".bias")};
}

Norm Builder::MakeNorm(const std::string& name) const {
  if (name.empty()) return {};
  const NormSuffixes suffixes = SuffixesOfNorms(config_);
  at::Tensor weight = Find(name + suffixes.weight);
  MOEFY_CHECK(weight.defined());
  if (config_.norm_weight_offset != 0) weight = weight + config_.norm_weight_offset;
  at::Tensor bias = Find(name + suffixes.bias);
  // A layer norm without a bias gets one of zeros, which tells it from an RMS norm.
  if (config_.norm == NormKind::kLayerNorm && !bias.defined()) bias = at::zeros_like(weight);
  return {weight, bias, config_.norm_epsilon};
}

// Makes three maps of one that is stored for queries, keys and values.
void Builder::TakeApart(const Linear& qkv, const StackConfig& stack, Attention& attention) const {
  const int64_t heads = stack.num_heads, kv_heads = stack.num_kv_heads, dim = stack.head_dim;
  // Takes `count` heads from `first` on out of each of `num_groups` groups.
  const auto part = [&](int64_t num_groups, int64_t first, int64_t count) -> Linear {
    const auto slice = [&](const at::Tensor& t, at::IntArrayRef tail) -> at::Tensor {
      if (!t.defined()) return {};
      std::vector<int64_t> shape = {num_groups, -1, dim};
      shape.insert(shape.end(), tail.begin(), tail.end());
      return t.reshape(shape).narrow(1, first, count).flatten(0, 2).contiguous();
    };
    return {slice(qkv.weight, {config_.hidden}), slice(qkv.bias, {})};
  };
  if (config_.qkv == QkvLayout::kStacked) {
    attention.query = part(1, 0, heads);
    attention.key = part(1, heads, kv_heads);
    attention.value = part(1, heads + kv_heads, kv_heads);
  } else {
    const int64_t queries = heads / kv_heads;
    attention.query = part(kv_heads, 0, queries);
    attention.key = part(kv_heads, queries, 1);
    attention.value = part(kv_heads, queries + 1, 1);
  }
}

Attention Builder::MakeAttention(const AttentionNames& names, const StackConfig& stack,
                                 int64_t layer_idx) const {
  const auto linear = [&](const std::string& name) {
    return MakeLinear(LayerName(name, layer_idx), config_.transposed);
  };
  Attention attention;
  attention.num_heads = stack.num_heads;
  attention.num_kv_heads = stack.num_kv_heads;
  attention.head_dim = stack.head_dim;
  if (names.qkv.empty()) {
    attention.query = linear(names.query);
    attention.key = linear(names.key);
    attention.value = linear(names.value);
  } else {
    TakeApart(linear(names.qkv), stack, attention);
  }
  attention.output = linear(names.output);
  if (config_.scale_attention) {
    attention.scale = config_.attention_scale > 0
                          ? config_.attention_scale
                          : 1.0 / std::sqrt(static_cast<double>(stack.head_dim));
  }
  attention.softcap = config_.attention_softcap;
  attention.qk_norm = config_.qk_norm;
  attention.query_norm = MakeNorm(LayerName(names.query_norm, layer_idx));
  attention.key_norm = MakeNorm(LayerName(names.key_norm, layer_idx));
  if (config_.scale_attention_by_layer) attention.scale /= static_cast<double>(layer_idx + 1);
  return attention;
}

Stack Builder::MakeStack(const StackNames& names, const StackConfig& config,
                         size_t first_ffn_idx) const {
  Stack stack;
  if (config.num_layers == 0) return stack;
  stack.token_embedding = Weight(names.token_embedding);
  stack.project_in = MakeLinear(names.project_in);
  if (config_.position == PositionKind::kLearned) {
    stack.position_embedding = Weight(names.position_embedding);
  }
  if (config_.num_token_types > 0) {
    stack.token_type_embedding = Weight(names.token_type_embedding);
  }
  stack.embedding_norm = MakeNorm(names.embedding_norm);
  size_t next_ffn_idx = first_ffn_idx;
  const bool per_layer_bias = names.relative_bias.find("{}") != std::string::npos;
  for (int64_t layer_idx = 0; layer_idx < config.num_layers; ++layer_idx) {
    const int64_t stored_idx = StoredLayer(config_, config.num_layers, layer_idx);
    Block block;
    if (layer_idx > 0 || config_.first_attention_norm) {
      block.attention_norm = MakeNorm(LayerName(names.attention_norm, stored_idx));
    }
    block.attention = MakeAttention(names.attention, config, stored_idx);
    if (!names.recurrence.input.empty()) {
      const auto linear = [&](const std::string& name) {
        return MakeLinear(LayerName(name, stored_idx), config_.transposed);
      };
      block.recurrence = {linear(names.recurrence.input), linear(names.recurrence.forget)};
    }
    block.attention_post_norm = MakeNorm(LayerName(names.attention_post_norm, stored_idx));
    block.cross_norm = MakeNorm(LayerName(names.cross_norm, stored_idx));
    if (!names.cross.query.empty()) block.cross = MakeAttention(names.cross, config, stored_idx);
    block.ffn_norm = MakeNorm(LayerName(names.ffn_norm, stored_idx));
    block.ffn_post_norm = MakeNorm(LayerName(names.ffn_post_norm, stored_idx));
    if (per_layer_bias) block.relative_bias = Weight(LayerName(names.relative_bias, stored_idx));
    block.ffn_idx = next_ffn_idx;
    if (!names.mixture.router.empty() && config_.has_mixture(layer_idx)) {
      block.router = MakeLinear(LayerName(names.mixture.router, layer_idx));
      block.shared_gate = MakeLinear(LayerName(names.mixture.shared_gate, layer_idx));
      next_ffn_idx += static_cast<size_t>(config_.mixture.num_experts);
      next_ffn_idx += names.mixture.shared.empty() ? 0 : 1;
    } else if (layer_idx + 1 == config.num_layers ||
               StoredLayer(config_, config.num_layers, layer_idx + 1) != stored_idx) {
      ++next_ffn_idx;  // the next layer does not share this one's
    }
    stack.blocks.push_back(std::move(block));
  }
  if (!per_layer_bias) stack.relative_bias = Weight(names.relative_bias);
  if (config_.position == PositionKind::kDisentangled) {
    stack.relative_embedding = Weight(names.relative_embedding);
    if (config_.relative_norm) {
      stack.relative_embedding = MakeNorm(names.relative_norm)(stack.relative_embedding);
    }
  }
  stack.final_norm = MakeNorm(names.final_norm);
  stack.project_out = MakeLinear(names.project_out);
  return stack;
}

FfnWeights Builder::MakeFfn(const FfnSpec& spec) const {
  return MakeFfnWeights(spec, [&](const std::string& name) { return parameters_.at(name); });
}

at::Tensor Builder::MakeLogitsBias(const std::string& name) const {
  const at::Tensor bias = name.empty() ? at::Tensor() : Find(name);
  return bias.defined() ? bias.flatten() : bias;
}

}  // namespace moefy::model
