// Models that are mixtures of experts from the start, in LLaMA's layout: Mixtral, Qwen2-MoE (also
// Qwen1.5-MoE), OLMoE. Source: Hugging Face transformers 4.44 to 4.48, the configuration and
// modeling files of each, checked against recorded outputs in tests/parity.
#include <algorithm>

#include "model/families/families.h"
#include "model/families/llama.h"
#include "model/families/rotary_config.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

constexpr int64_t kMaxExperts = 4096;
constexpr const char* kTrainsRouters = "of the training of routers only";

// Reads how many experts there are and how many run. Their size is the FFNs', unless a key of its
// own has been read.
void ReadExperts(const JsonObject& json, const std::string& count_key, int64_t count,
                 int64_t chosen, ModelConfig& config) {
  MixtureConfig& mixture = config.mixture;
  mixture.num_experts = json.GetInt(count_key, 1, kMaxExperts, count);
  mixture.num_chosen = json.GetInt("num_experts_per_tok", 1, mixture.num_experts,
                                   std::min(chosen, mixture.num_experts));
  if (mixture.num_neurons == 0) mixture.num_neurons = config.decoder.num_neurons;
}

ModelNames WithMixture(ModelNames names, const MixtureNames& mixture) {
  names.decoder.mixture = mixture;
  return names;
}

void ReadMixtral(const JsonObject& json, ModelConfig& config) {
  ReadLlamaLike(json, {.default_base = 1000000}, config);
  config.norm_epsilon = json.GetNumber("rms_norm_eps", 0, 1, 1e-5);
  config.sliding_window = json.GetInt("sliding_window", 1, kMaxWindow, 0);
  ReadExperts(json, "num_local_experts", 8, 2, config);
  config.mixture.normalised = true;
}

ModelNames MixtralNames(const ModelConfig& config) {
  const std::string block = "model.layers.{}.block_sparse_moe.";
  return WithMixture(LlamaNames(config), {.router = block + "gate",
                                          .expert = block + "experts.{e}.",
                                          .w_in = "w3",
                                          .w_gate = "w1",
                                          .w_out = "w2"});
}

// Reads which layers have plain FFNs: those that mlp_only_layers lists, and all but every so many.
void ReadDenseLayers(const JsonObject& json, ModelConfig& config) {
  const int64_t step = json.GetInt("decoder_sparse_step", 1, kMaxLayers, 1);
  std::vector<int64_t> listed;
  if (json.Has("mlp_only_layers")) listed = json.GetInts("mlp_only_layers", 0, kMaxLayers);
  for (int64_t layer = 0; layer < config.decoder.num_layers; ++layer) {
    if ((layer + 1) % step != 0 || std::ranges::find(listed, layer) != listed.end()) {
      config.mixture.dense_layers.push_back(layer);
    }
  }
}

void ReadQwen2Moe(const JsonObject& json, ModelConfig& config) {
  ReadLlamaLike(json, {}, config);
  config.qkv_bias = json.GetBool("qkv_bias", true);
  RefuseIf(json, "use_sliding_window", true, false);
  MixtureConfig& mixture = config.mixture;
  mixture.num_neurons = json.GetInt("moe_intermediate_size", 1, kMaxWidth, 1408);
  mixture.shared_neurons = json.GetInt("shared_expert_intermediate_size", 1, kMaxWidth, 5632);
  ReadExperts(json, "num_experts", 60, 4, config);
  mixture.normalised = json.GetBool("norm_topk_prob", false);
  ReadDenseLayers(json, config);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, -1);
}

ModelNames ExpertsOfMlp(const ModelConfig& config) {
  const std::string block = "model.layers.{}.mlp.";
  const bool shared = config.mixture.shared_neurons > 0;
  return WithMixture(LlamaNames(config), {.router = block + "gate",
                                          .expert = block + "experts.{e}.",
                                          .shared = shared ? block + "shared_expert." : "",
                                          .shared_gate = shared ? block + "shared_expert_gate" : "",
                                          .w_in = "up_proj",
                                          .w_gate = "gate_proj",
                                          .w_out = "down_proj"});
}

void ReadOlmoe(const JsonObject& json, ModelConfig& config) {
  ReadLlamaLike(json, {}, config);
  config.qkv_bias = config.attention_output_bias = json.GetBool("attention_bias", false);
  config.norm_epsilon = json.GetNumber("rms_norm_eps", 0, 1, 1e-5);
  config.qk_norm = QkNorm::kAll;
  ReadExperts(json, "num_experts", 64, 8, config);
  config.mixture.normalised = json.GetBool("norm_topk_prob", false);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 50279);
  config.pad_id = ReadTokenId(json, "pad_token_id", config, 1);
}

Family Mixtures(const std::string& name, const std::string& class_name, int64_t vocab,
                int64_t hidden, int64_t neurons) {
  Family family = LlamaLike(name, class_name, vocab, hidden, neurons);
  for (const char* key : {"router_aux_loss_coef", "router_jitter_noise"}) {
    family.unread_keys.push_back({key, kTrainsRouters});
  }
  family.unread_keys.push_back({"output_router_logits", "says what else a call returns"});
  return family;
}

}  // namespace

Family MixtralFamily() {
  Family family = Mixtures("mixtral", "Mixtral", 32000, 4096, 14336);
  family.description = "as Mistral, a mixture of experts in each layer";
  family.source = "recorded outputs of transformers 4.44 (MixtralForCausalLM)";
  family.keys.decoder.kv_heads.if_absent = 8;
  family.read_config = ReadMixtral;
  family.names = MixtralNames;
  return family;
}

Family Qwen2MoeFamily() {
  Family family = Mixtures("qwen2_moe", "Qwen2Moe", 151936, 2048, 5632);
  family.description = "as Qwen2, a mixture of experts with a shared one (also Qwen1.5-MoE)";
  family.source = "recorded outputs of transformers 4.44 (Qwen2MoeForCausalLM)";
  family.keys.decoder.layers.if_absent = 24;
  family.keys.decoder.heads.if_absent = 16;
  family.keys.decoder.kv_heads.if_absent = 16;
  family.unread_keys.push_back({"sliding_window", "windows are refused"});
  family.unread_keys.push_back({"max_window_layers", "windows are refused"});
  family.unread_keys.push_back({"layer_types", "windows are refused"});
  family.read_config = ReadQwen2Moe;
  family.names = ExpertsOfMlp;
  return family;
}

Family OlmoeFamily() {
  Family family = Mixtures("olmoe", "Olmoe", 50304, 2048, 2048);
  family.description = "as LLaMA, a mixture of experts; queries and keys normed as a whole";
  family.source = "recorded outputs of transformers 4.48 (OlmoeForCausalLM)";
  family.keys.decoder.layers.if_absent = 16;
  family.keys.decoder.heads.if_absent = 16;
  family.unread_keys.push_back({"clip_qkv", "queries, keys and values would be clamped", Json()});
  family.read_config = ReadOlmoe;
  family.names = ExpertsOfMlp;
  return family;
}

}  // namespace moefy::model
