// Phi-3 and Phi-4: LLaMA's sums with queries, keys and values in one matrix, and the FFN's two
// first ones in another. Source: Hugging Face transformers 4.44 and 5.24, configuration_phi3.py and
// modeling_phi3.py, checked against recorded outputs in tests/parity.
#include "model/families/families.h"
#include "model/families/llama.h"

namespace moefy::model {
namespace {

void ReadPhi3Config(const JsonObject& json, ModelConfig& config) {
  ReadLlamaLike(json, {.share = "partial_rotary_factor"}, config);
  config.norm_epsilon = json.GetNumber("rms_norm_eps", 0, 1, 1e-5);
  config.qkv = QkvLayout::kStacked;
  config.sliding_window = json.GetInt("sliding_window", 1, kMaxWindow, 0);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 32000);
  config.pad_id = ReadTokenId(json, "pad_token_id", config, 32000);
}

ModelNames Phi3Names(const ModelConfig& config) {
  const std::string layer = "model.layers.{}.";
  ModelNames names = LlamaNames(config);
  StackNames& stack = names.decoder;
  stack.attention = {"", "", "", layer + "self_attn.o_proj", layer + "self_attn.qkv_proj"};
  stack.w_in = stack.w_gate = layer + "mlp.gate_up_proj";
  return names;
}

}  // namespace

Family Phi3Family() {
  Family family = LlamaLike("phi3", "Phi3", 32064, 3072, 8192);
  family.description = "as LLaMA, with fused projections (Phi-3 of 4,096 positions, Phi-4)";
  family.source = "recorded outputs of transformers 5.24 (Phi3ForCausalLM)";
  family.read_config = ReadPhi3Config;
  family.names = Phi3Names;
  family.unread_keys.push_back(
      {"original_max_position_embeddings", "of scaled positions, whose own settings count"});
  for (const char* bias : {"attention_bias", "mlp_bias", "lm_head_bias"}) {
    family.unread_keys.push_back({bias, "maps would have biases", false});
  }
  family.unread_keys.push_back({"full_attn_mod", "layers would see less", 1});
  family.unread_keys.push_back({"interpolation_factor", "positions would be divided", 1});
  return family;
}

}  // namespace moefy::model
