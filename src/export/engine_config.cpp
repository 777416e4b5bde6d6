#include "export/engine_config.h"

#include <cmath>

#include "moefy/base/error.h"

namespace moefy::exports {
namespace {

// Keys of every format that mean what they mean for LLaMA.
constexpr const char* kKept[] = {"bos_token_id",      "eos_token_id", "pad_token_id",
                                 "initializer_range", "use_cache",    "max_position_embeddings",
                                 "attention_dropout", "torch_dtype"};

const char* TorchName(io::DType dtype) {
  return dtype == io::DType::kF16 ? "float16" : dtype == io::DType::kBF16 ? "bfloat16" : "float32";
}

Json RopeScaling(const model::RotaryConfig& rotary) {
  if (rotary.llama3) {
    return {{"rope_type", "llama3"},
            {"factor", rotary.factor},
            {"low_freq_factor", rotary.low_frequency_factor},
            {"high_freq_factor", rotary.high_frequency_factor},
            {"original_max_position_embeddings", std::llround(rotary.original_positions)}};
  }
  if (rotary.factor == 1) return {};
  return {{"rope_type", "linear"}, {"type", "linear"}, {"factor", rotary.factor}};
}

}  // namespace

Json EngineConfig(const ExportPlan& plan, const model::ModelConfig& model, const Json& source,
                  io::DType dtype) {
  const model::StackConfig& stack = model.decoder;
  Json config = {{"architectures", {plan.format.class_name}},
                 {"model_type", plan.format.model_type},
                 {"hidden_act", "silu"},
                 {"vocab_size", model.vocab_size},
                 {"hidden_size", model.hidden},
                 {"num_hidden_layers", stack.num_layers},
                 {"num_attention_heads", stack.num_heads},
                 {"num_key_value_heads", stack.num_kv_heads},
                 {"rms_norm_eps", model.norm_epsilon},
                 {"rope_theta", model.rotary.base},
                 {"rope_scaling", RopeScaling(model.rotary)},
                 {"tie_word_embeddings", model.tied_embeddings}};
  if (plan.format.free_head_dim) config["head_dim"] = stack.head_dim;
  for (const char* key : kKept) {
    if (source.contains(key)) config[key] = source[key];
  }
  config["torch_dtype"] = TorchName(dtype);
  config.update(plan.format.keys(plan.sizes));
  config["output_router_logits"] = false;
  return config;
}

}  // namespace moefy::exports
