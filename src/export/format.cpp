// Source of names, keys and rules: the configuration and modeling files of Hugging Face
// transformers 4.44 to 5 for each model type; of "deepseek", DeepSeek-MoE's own
// (modeling_deepseek.py of deepseek-moe-16b-base).
#include "export/format.h"

#include <cmath>

#include "moefy/base/error.h"

namespace moefy::exports {
namespace {

Json MixtralKeys(const ExpertSizes& sizes) {
  return {{"intermediate_size", sizes.neurons},
          {"num_local_experts", sizes.experts},
          {"num_experts_per_tok", sizes.chosen},
          {"sliding_window", sizes.window > 0 ? Json(sizes.window) : Json()}};
}

Json Qwen2MoeKeys(const ExpertSizes& sizes) {
  return {{"intermediate_size", sizes.shared_neurons},  // of dense layers, of which there are none
          {"moe_intermediate_size", sizes.neurons},
          {"shared_expert_intermediate_size", sizes.shared_neurons},
          {"num_experts", sizes.experts},
          {"num_experts_per_tok", sizes.chosen},
          {"norm_topk_prob", false},
          {"decoder_sparse_step", 1},
          {"mlp_only_layers", Json::array()},
          {"qkv_bias", true},
          {"use_sliding_window", false}};
}

Json Qwen3MoeKeys(const ExpertSizes& sizes) {
  return {{"intermediate_size", sizes.neurons},
          {"moe_intermediate_size", sizes.neurons},
          {"num_experts", sizes.experts},
          {"num_experts_per_tok", sizes.chosen},
          {"norm_topk_prob", true},
          {"decoder_sparse_step", 1},
          {"mlp_only_layers", Json::array()},
          {"attention_bias", sizes.biases},
          {"use_sliding_window", false}};
}

Json OlmoeKeys(const ExpertSizes& sizes) {
  return {{"intermediate_size", sizes.neurons},
          {"num_experts", sizes.experts},
          {"num_experts_per_tok", sizes.chosen},
          {"norm_topk_prob", false},
          {"clip_qkv", Json()},
          {"attention_bias", sizes.biases}};
}

Json Glm4MoeKeys(const ExpertSizes& sizes) {
  return {{"intermediate_size", sizes.neurons},
          {"moe_intermediate_size", sizes.neurons},
          {"n_routed_experts", sizes.experts},
          {"num_experts_per_tok", sizes.chosen},
          {"n_shared_experts", sizes.shared_neurons / sizes.neurons},
          {"first_k_dense_replace", 0},
          {"n_group", 1},
          {"topk_group", 1},
          {"norm_topk_prob", true},
          {"routed_scaling_factor", static_cast<double>(sizes.chosen)},
          {"partial_rotary_factor", 1.0},
          {"use_qk_norm", sizes.norms},
          {"attention_bias", sizes.biases}};
}

Json GraniteMoeKeys(const ExpertSizes& sizes) {
  return {{"intermediate_size", sizes.neurons},
          {"num_local_experts", sizes.experts},
          {"num_experts_per_tok", sizes.chosen},
          {"shared_intermediate_size", sizes.shared_neurons},
          {"attention_bias", sizes.biases},
          {"embedding_multiplier", 1.0},
          {"residual_multiplier", 1.0},
          {"logits_scaling", 1.0},
          {"attention_multiplier", 1 / std::sqrt(static_cast<double>(sizes.head_dim))}};
}

Json DeepseekKeys(const ExpertSizes& sizes) {
  return {{"intermediate_size", sizes.neurons},
          {"moe_intermediate_size", sizes.neurons},
          {"n_routed_experts", sizes.experts},
          {"num_experts_per_tok", sizes.chosen},
          {"n_shared_experts", sizes.shared > 0 ? Json(sizes.shared) : Json()},
          {"first_k_dense_replace", 0},
          {"moe_layer_freq", 1},
          {"norm_topk_prob", false},
          {"scoring_func", "softmax"},
          {"attention_bias", false}};
}

}  // namespace

const std::vector<Format>& Formats() {
  static const std::vector<Format> formats = {
      {.name = "granite-moe",
       .description = "Granite 3 and 4: chooses by the scores themselves, plain shared experts",
       .model_type = "granitemoeshared",
       .class_name = "GraniteMoeSharedForCausalLM",
       .keys = GraniteMoeKeys,
       .gates = Gates::kChosen,
       .shared = SharedExperts::kPlain,
       .biases = AttentionBiases::kAll,
       .router = "block_sparse_moe.router.layer.",
       .expert = "block_sparse_moe.",
       .shared_expert = "shared_mlp.",
       .w_gate = "input_linear",
       .w_in = "",
       .w_out = "output_linear"},
      {.name = "mixtral",
       .description = "Mixtral: normalised weights, no shared experts",
       .model_type = "mixtral",
       .class_name = "MixtralForCausalLM",
       .keys = MixtralKeys,
       .gates = Gates::kNormalised,
       .free_head_dim = true,
       .windows = true,
       .router = "block_sparse_moe.gate.",
       .expert = "block_sparse_moe.experts.{}.",
       .w_gate = "w1",
       .w_in = "w3",
       .w_out = "w2"},
      {.name = "qwen2-moe",
       .description = "Qwen1.5-MoE and Qwen2-MoE: a shared expert, biases on queries, keys, values",
       .model_type = "qwen2_moe",
       .class_name = "Qwen2MoeForCausalLM",
       .keys = Qwen2MoeKeys,
       .gates = Gates::kSoftmax,
       .shared = SharedExperts::kGated,
       .always_shared = true,
       .biases = AttentionBiases::kAlwaysQkv,
       .shared_expert = "mlp.shared_expert.",
       .shared_gate = "mlp.shared_expert_gate."},
      {.name = "qwen3-moe",
       .description = "Qwen3-MoE: normalised weights, queries and keys normed head by head",
       .model_type = "qwen3_moe",
       .class_name = "Qwen3MoeForCausalLM",
       .keys = Qwen3MoeKeys,
       .gates = Gates::kNormalised,
       .norms = QueryKeyNorms::kHead,
       .biases = AttentionBiases::kAll,
       .free_head_dim = true},
      {.name = "olmoe",
       .description = "OLMoE: queries and keys normed as a whole",
       .model_type = "olmoe",
       .class_name = "OlmoeForCausalLM",
       .keys = OlmoeKeys,
       .gates = Gates::kSoftmax,
       .norms = QueryKeyNorms::kAll,
       .biases = AttentionBiases::kAll},
      {.name = "glm4-moe",
       .description = "GLM-4.5: a bias on the router, plain shared experts, W_out as it is",
       .model_type = "glm4_moe",
       .class_name = "Glm4MoeForCausalLM",
       .keys = Glm4MoeKeys,
       .gates = Gates::kScaled,
       .shared = SharedExperts::kPlain,
       .always_shared = true,
       .norms = QueryKeyNorms::kOptional,
       .biases = AttentionBiases::kQkv,
       .router_bias = true,
       .free_head_dim = true,
       .shared_expert = "mlp.shared_experts."},
      {.name = "deepseek",
       .description = "DeepSeek-MoE (the first): plain shared experts",
       .model_type = "deepseek",
       .class_name = "DeepseekForCausalLM",
       .keys = DeepseekKeys,
       .gates = Gates::kSoftmax,
       .shared = SharedExperts::kPlain,
       .shared_expert = "mlp.shared_experts."},
  };
  return formats;
}

const Format& GetFormat(const std::string& name) {
  std::vector<std::string> names;
  for (const Format& format : Formats()) {
    if (format.name == name) return format;
    names.push_back(format.name);
  }
  names.emplace_back(kGguf);
  names.emplace_back(kTransformers);
  throw UsageError("--format is ", Quoted(name), DidYouMean(name, names), "; one of ", Join(names));
}

}  // namespace moefy::exports
