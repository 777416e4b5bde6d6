// Checkpoints of random weights for any config.json that moefy reads, and edited copies of others.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "base/json.h"
#include "io/safetensors.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "moefy/model/tensor_io.h"

namespace moefy::tests {

inline void WriteConfig(const Json& config, const std::filesystem::path& directory) {
  std::ofstream(directory / "config.json") << FormatJson(config);
}

// Every tensor that the config implies, larger than reference models begin with, so that what is
// done to them shows.
inline model::TensorMap RandomParameters(const Json& config, uint64_t seed = 7) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  model::TensorMap tensors;
  const model::ModelConfig parsed = model::ParseModelConfig(config, "config.json");
  for (const model::ExpectedTensor& want : model::ExpectedTensors(parsed)) {
    if (!want.required) continue;
    const bool norm = want.shape.size() == 1 && want.name.ends_with(".weight");
    tensors[want.name] = at::randn(want.shape, generator).mul_(norm ? 0.1 : 0.3).add_(norm ? 1 : 0);
  }
  return tensors;
}

inline void WriteModel(const Json& config, const model::TensorMap& tensors,
                       const std::filesystem::path& directory) {
  WriteConfig(config, directory);
  model::WriteTensors(tensors, directory / "model.safetensors");
}

inline void WriteRandomModel(const Json& config, const std::filesystem::path& directory) {
  WriteModel(config, RandomParameters(config), directory);
}

// A decoder of small sizes, four layers, in LLaMA's spelling of keys; `more` replaces and adds.
inline Json SmallDecoder(const std::string& model_type, const std::string& class_name,
                         const Json& more = Json::object()) {
  Json config = {{"model_type", model_type}, {"architectures", {class_name}},
                 {"vocab_size", 97},         {"hidden_size", 24},
                 {"intermediate_size", 40},  {"num_hidden_layers", 4},
                 {"num_attention_heads", 4}, {"num_key_value_heads", 2},
                 {"pad_token_id", nullptr},  {"eos_token_id", 2}};
  config.update(more);
  return config;
}

// The decoders that have no committed pico model, with what is special about each switched on.
inline std::vector<Json> NewDecoders() {
  return {
      SmallDecoder("qwen2", "Qwen2ForCausalLM",
                   {{"use_sliding_window", true}, {"sliding_window", 4}, {"max_window_layers", 2}}),
      SmallDecoder("qwen3", "Qwen3ForCausalLM", {{"head_dim", 8}}),
      SmallDecoder("smollm3", "SmolLM3ForCausalLM"),
      SmallDecoder("granite", "GraniteForCausalLM",
                   {{"embedding_multiplier", 5.0},
                    {"attention_multiplier", 0.6},
                    {"residual_multiplier", 0.7},
                    {"logits_scaling", 0.4}}),
      SmallDecoder("olmo2", "Olmo2ForCausalLM"),
      SmallDecoder("gemma2", "Gemma2ForCausalLM",
                   {{"head_dim", 8}, {"sliding_window", 4}, {"attn_logit_softcapping", 3.0}}),
      SmallDecoder("gemma3_text", "Gemma3ForCausalLM",
                   {{"head_dim", 8}, {"sliding_window", 4}, {"sliding_window_pattern", 3}}),
      SmallDecoder("phi3", "Phi3ForCausalLM", {{"sliding_window", 6}}),
      SmallDecoder("stablelm", "StableLmForCausalLM",
                   {{"use_parallel_residual", true}, {"partial_rotary_factor", 0.5}}),
      SmallDecoder("nemotron", "NemotronForCausalLM", {{"partial_rotary_factor", 0.4}}),
      SmallDecoder("starcoder2", "Starcoder2ForCausalLM", {{"sliding_window", 5}}),
      SmallDecoder("bamboo", "BambooForCausalLM", {{"hidden_act", "relu"}}),
      SmallDecoder("llama", "SparseLlamaForCausalLM",
                   {{"hidden_act", "fatrelu"}, {"hidden_act_param", 0.01}}),
  };
}

// An encoder of small sizes, in BERT's spelling of keys.
inline Json SmallEncoder(const std::string& model_type, const std::string& class_name,
                         const Json& more = Json::object()) {
  Json config = {{"model_type", model_type}, {"architectures", {class_name}},
                 {"vocab_size", 97},         {"hidden_size", 24},
                 {"intermediate_size", 40},  {"num_hidden_layers", 4},
                 {"num_attention_heads", 4}, {"max_position_embeddings", 40},
                 {"layer_norm_eps", 1e-5},   {"pad_token_id", 0}};
  config.update(more);
  return config;
}

// Those that have no committed pico model, and heads that none of these has.
inline std::vector<Json> NewEncoders() {
  return {
      SmallEncoder("bert", "BertModel"),
      SmallEncoder("bert", "BertForMaskedLM"),
      SmallEncoder("bert", "BertForTokenClassification", {{"num_labels", 5}}),
      SmallEncoder("roberta", "RobertaForMaskedLM", {{"pad_token_id", 1}}),
      SmallEncoder("electra", "ElectraForMaskedLM", {{"embedding_size", 16}}),
      SmallEncoder("albert", "AlbertModel", {{"embedding_size", 16}, {"num_hidden_groups", 2}}),
      SmallEncoder("deberta-v2", "DebertaV2ForMaskedLM",
                   {{"relative_attention", true},
                    {"position_biased_input", false},
                    {"share_att_key", true},
                    {"pos_att_type", "p2c|c2p"},
                    {"position_buckets", 8},
                    {"norm_rel_ebd", "layer_norm"}}),
      SmallEncoder("modernbert", "ModernBertForTokenClassification", {{"local_attention", 8}}),
  };
}

// Models of text to text that have no committed pico model.
inline std::vector<Json> NewTextToText() {
  const Json t5 = {{"vocab_size", 97},
                   {"d_model", 24},
                   {"d_kv", 6},
                   {"d_ff", 40},
                   {"num_heads", 4},
                   {"num_layers", 2},
                   {"pad_token_id", 0},
                   {"decoder_start_token_id", 0},
                   {"relative_attention_num_buckets", 8},
                   {"relative_attention_max_distance", 12}};
  Json umt5 = {{"model_type", "umt5"}, {"architectures", {"UMT5ForConditionalGeneration"}}};
  umt5.update(t5);
  Json mt5 = {{"model_type", "mt5"}, {"architectures", {"MT5ForConditionalGeneration"}}};
  mt5.update(t5);
  const Json sizes = {{"vocab_size", 97},
                      {"d_model", 24},
                      {"encoder_layers", 2},
                      {"decoder_layers", 2},
                      {"encoder_attention_heads", 4},
                      {"decoder_attention_heads", 4},
                      {"encoder_ffn_dim", 40},
                      {"decoder_ffn_dim", 36}};
  Json mbart = {{"model_type", "mbart"},
                {"architectures", {"MBartForConditionalGeneration"}},
                {"max_position_embeddings", 40},
                {"scale_embedding", true}};
  mbart.update(sizes);
  Json student = {{"model_type", "marian-ssru"},
                  {"architectures", {"BergamotTiny11 (no transformers class)"}}};
  student.update(sizes);
  return {umt5, mt5, mbart, student};
}

// What WriteTensors() wrote, or any F32 file, by name.
inline model::TensorMap ReadTensors(const std::filesystem::path& directory) {
  const io::Checkpoint checkpoint = io::Checkpoint::Open(directory);
  model::TensorMap tensors;
  for (const std::string& name : checkpoint.TensorNames()) {
    tensors[name] = model::ReadTensor(checkpoint, name);
  }
  return tensors;
}

// The model in `from`, changed, in `to`.
inline void WriteEdited(const std::filesystem::path& from, const std::filesystem::path& to,
                        const std::function<void(Json& config)>& edit_config,
                        const std::function<void(model::TensorMap& tensors)>& edit_tensors = {}) {
  Json config = ReadJsonFile(from / "config.json");
  model::TensorMap tensors = ReadTensors(from);
  if (edit_config) edit_config(config);
  if (edit_tensors) edit_tensors(tensors);
  WriteModel(config, tensors, to);
}

}  // namespace moefy::tests
