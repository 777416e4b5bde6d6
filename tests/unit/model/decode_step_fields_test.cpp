// Both ways to compute a decoder's next token read every field of ModelConfig. A new field fails
// here until it has a row: a model and a change of the field that shows in the logits, the same in
// both ways; or a reason why no decoder's step depends on it.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "base/json.h"
#include "model/decode_step.h"
#include "model/expected_tensors.h"
#include "moefy/model/transformer.h"
#include "support/random_model.h"
#include "support/shared_data.h"
#include "support/split_fixtures.h"
#include "unit/model/both_ways.h"
#include "unit/model/config_fields.h"

namespace moefy::model {
namespace {

// A change of one field, with others only where the sizes must fit.
struct FieldUse {
  const char* field;
  const char* model;  // a directory of tests/data/pico, or a model_type of NewDecoders() and kin
  void (*change)(ModelConfig& config);
};

// Shortens the table.
using Config = ModelConfig;

const FieldUse kUses[] = {
    {"vocab_size", "mistral-gqa", [](Config& c) { c.vocab_size = c.input_vocab_size = 131; }},
    {"hidden", "mistral-gqa", [](Config& c) { c.hidden = c.embedding_width = 40; }},
    {"embedding_width", "opt-350m-like-postln-proj", [](Config& c) { c.embedding_width = 20; }},
    {"decoder.num_layers", "mistral-gqa", [](Config& c) { c.decoder.num_layers = 3; }},
    {"decoder.num_heads", "mistral-gqa", [](Config& c) { c.decoder.num_heads = 6; }},
    {"decoder.num_kv_heads", "mistral-gqa", [](Config& c) { c.decoder.num_kv_heads = 4; }},
    {"decoder.head_dim", "mistral-gqa", [](Config& c) { c.decoder.head_dim = c.rotary.dims = 8; }},
    {"decoder.num_neurons", "mistral-gqa", [](Config& c) { c.decoder.num_neurons = 90; }},
    {"num_layer_groups", "qwen3", [](Config& c) { c.num_layer_groups = 2; }},
    {"activation.kind", "mistral-gqa", [](Config& c) { c.activation.kind = Activation::kGelu; }},
    {"activation.threshold", "llama", [](Config& c) { c.activation.threshold = 0.3; }},
    {"activation.on_both", "bamboo", [](Config& c) { c.activation.on_both = false; }},
    {"gated", "t5-relu-tied", [](Config& c) { c.gated = true; }},
    {"mixture.num_experts", "qwen2_moe", [](Config& c) { c.mixture.num_experts = 5; }},
    {"mixture.num_chosen", "qwen2_moe", [](Config& c) { c.mixture.num_chosen = 3; }},
    {"mixture.num_neurons", "qwen2_moe", [](Config& c) { c.mixture.num_neurons = 20; }},
    {"mixture.shared_neurons", "qwen2_moe", [](Config& c) { c.mixture.shared_neurons = 50; }},
    {"mixture.normalised", "qwen2_moe", [](Config& c) { c.mixture.normalised = true; }},
    {"mixture.dense_layers", "qwen2_moe", [](Config& c) { c.mixture.dense_layers = {}; }},
    {"qkv_bias", "mistral-gqa", [](Config& c) { c.qkv_bias = true; }},
    {"attention_output_bias", "mistral-gqa", [](Config& c) { c.attention_output_bias = true; }},
    {"ffn_bias", "mistral-gqa", [](Config& c) { c.ffn_bias = true; }},
    {"head_bias", "mistral-gqa", [](Config& c) { c.head_bias = true; }},
    {"qkv", "gpt_neox-parallel", [](Config& c) { c.qkv = QkvLayout::kStacked; }},
    {"transposed", "gpt2-relu-ninner", [](Config& c) { c.transposed = false; }},
    {"norm", "mistral-gqa", [](Config& c) { c.norm = NormKind::kLayerNorm; }},
    {"norm_bias", "stablelm", [](Config& c) { c.norm_bias = false; }},
    {"first_attention_norm", "mistral-gqa", [](Config& c) { c.first_attention_norm = false; }},
    {"norm_place", "mistral-gqa", [](Config& c) { c.norm_place = NormPlace::kPost; }},
    {"norm_place", "qwen2-tied", [](Config& c) { c.norm_place = NormPlace::kParallel; }},
    {"norm_place", "gpt_neox-parallel", [](Config& c) { c.norm_place = NormPlace::kPre; }},
    {"norm_epsilon", "mistral-gqa", [](Config& c) { c.norm_epsilon = 0.5; }},
    {"norm_weight_offset", "gemma-mqa", [](Config& c) { c.norm_weight_offset = 0; }},
    {"separate_ffn_norm", "falcon-40b-like-grouped",
     [](Config& c) { c.separate_ffn_norm = !c.separate_ffn_norm; }},
    {"qk_norm", "qwen3", [](Config& c) { c.qk_norm = QkNorm::kNone; }},
    {"qk_norm", "qwen3", [](Config& c) { c.qk_norm = QkNorm::kAll; }},
    {"position", "mistral-gqa",
     [](Config& c) {
       c.position = PositionKind::kSinusoidal;
       c.sinusoid_steps = 24;
     }},
    {"position", "pegasus-relu", [](Config& c) { c.position = PositionKind::kLearned; }},
    {"position", "t5-relu-tied",
     [](Config& c) {
       c.position = PositionKind::kRotary;
       c.rotary.dims = 10;
     }},
    {"position_count", "opt-fp16", [](Config& c) { c.position_count = PositionCount::kColumns; }},
    {"position_count", "opt-fp16", [](Config& c) { c.position_count = PositionCount::kNotPad; }},
    {"position_offset", "opt-fp16", [](Config& c) { c.position_offset = 5; }},
    {"sinusoid_steps", "pegasus-relu", [](Config& c) { c.sinusoid_steps = 3; }},
    {"relative_buckets", "mt5", [](Config& c) { c.relative_buckets = 6; }},
    {"relative_max_distance", "mt5", [](Config& c) { c.relative_max_distance = 100; }},
    {"relative_max_distance", "umt5", [](Config& c) { c.relative_max_distance = 100; }},
    {"rotary.dims", "mistral-gqa", [](Config& c) { c.rotary.dims = 6; }},
    {"rotary.base", "mistral-gqa", [](Config& c) { c.rotary.base = 20; }},
    {"rotary.factor", "mistral-gqa", [](Config& c) { c.rotary.factor = 4; }},
    {"rotary.llama3", "llama-llama3-rope-scaling", [](Config& c) { c.rotary.llama3 = false; }},
    {"rotary.low_frequency_factor", "llama-llama3-rope-scaling",
     [](Config& c) { c.rotary.low_frequency_factor = 0.1; }},
    {"rotary.high_frequency_factor", "llama-llama3-rope-scaling",
     [](Config& c) { c.rotary.high_frequency_factor = 9; }},
    {"rotary.original_positions", "llama-llama3-rope-scaling",
     [](Config& c) { c.rotary.original_positions = 300; }},
    {"local_rotary", "gemma3_text", [](Config& c) { c.local_rotary->base = 20; }},
    {"sliding_window", "mistral-gqa", [](Config& c) { c.sliding_window = 4; }},
    {"layer_attention.windowed", "gemma2",
     [](Config& c) { c.layer_attention[1].windowed = !c.layer_attention[1].windowed; }},
    {"layer_attention.rotary", "smollm3", [](Config& c) { c.layer_attention[1].rotary = false; }},
    {"recurrent_decoder", "marian-ssru", [](Config& c) { c.recurrent_decoder = false; }},
    {"zero_start", "marian-ssru", [](Config& c) { c.zero_start = false; }},
    {"embedding_scale", "mistral-gqa", [](Config& c) { c.embedding_scale = 3; }},
    {"scale_attention", "gpt2-relu-ninner", [](Config& c) { c.scale_attention = false; }},
    {"attention_scale", "granite", [](Config& c) { c.attention_scale = 0.2; }},
    {"scale_attention_by_layer", "gpt2-relu-ninner",
     [](Config& c) { c.scale_attention_by_layer = true; }},
    {"final_norm", "pegasus-relu", [](Config& c) { c.final_norm = false; }},
    {"tied_embeddings", "qwen2-tied", [](Config& c) { c.tied_embeddings = false; }},
    {"logits_scale", "t5-relu-tied", [](Config& c) { c.logits_scale = 0.3; }},
    {"residual_scale", "granite", [](Config& c) { c.residual_scale = 0.3; }},
    {"attention_softcap", "gemma2", [](Config& c) { c.attention_softcap = 1; }},
    {"logits_softcap", "gemma2", [](Config& c) { c.logits_softcap = 2; }},
    {"pad_id", "m2m_100-relu", [](Config& c) { c.pad_id = 12; }},
};

struct Unused {
  const char* reason;
  std::vector<std::string> fields;
};

// No model that decodes has another value than ModelConfig's own; the test checks that.
const Unused kOfOthers[] = {
    {"ALBERT and ELECTRA, encoders, project their embeddings so", {"narrow_embeddings"}},
    {"DeBERTa, an encoder, has disentangled attention",
     {"content_to_position", "position_to_content", "relative_norm"}},
    {"only encoders have segments", {"num_token_types"}},
    {"classification has labels, generation has none", {"problem", "num_labels", "label_names"}},
    {"of heads that encoders have",
     {"pooler_activation", "mean_pooling", "head_activation.kind", "head_activation.threshold",
      "head_activation.on_both", "head_dense_bias"}},
};

// Nothing is left for the step to read.
const Unused kReadBefore[] = {
    {"says what the other fields were read from", {"family", "model_type"}},
    {"decides whether there is a second stack, and whether there is anything to decode",
     {"architecture", "head"}},
    {"the encoder has run, on tensors in both ways",
     {"input_vocab_size", "encoder.num_layers", "encoder.num_heads", "encoder.num_kv_heads",
      "encoder.head_dim", "encoder.num_neurons"}},
    {"CheckNextInputs() has refused longer texts", {"max_positions"}},
    {"Generate() ends and begins texts", {"eos_id", "decoder_start_id"}},
    {"the Builder has found the tensors under their names",
     {"missing_prefix", "added_prefix", "gamma_beta", "aliases"}},
};

std::vector<Json> ModelsThatDecode() {
  std::vector<Json> models = tests::NewDecoders();
  models.push_back(tests::SmallDecoder("qwen2_moe", "Qwen2MoeForCausalLM",
                                       {{"num_experts", 6},
                                        {"num_experts_per_tok", 2},
                                        {"moe_intermediate_size", 28},
                                        {"shared_expert_intermediate_size", 60},
                                        {"mlp_only_layers", {1}}}));
  for (const Json& config : tests::NewTextToText()) models.push_back(config);
  return models;
}

ModelConfig ConfigOf(const std::string& name) {
  if (const auto pico = tests::TestData() / "pico" / name; std::filesystem::exists(pico)) {
    return ReadModelConfig(pico / "config.json");
  }
  const std::vector<Json> models = ModelsThatDecode();
  const auto found =
      std::ranges::find_if(models, [&](const Json& json) { return json.at("model_type") == name; });
  return ParseModelConfig(found == models.end() ? Json::object() : *found, name);
}

// Random weights; a tensor of the same name and shape is the same in every model.
TensorMap WeightsOf(const ModelConfig& config) {
  TensorMap weights;
  for (const ExpectedTensor& want : ExpectedTensors(config)) {
    const bool norm = want.shape.size() == 1 && want.name.ends_with("weight");
    at::Generator generator =
        at::detail::createCPUGenerator(std::hash<std::string>()(want.name) % 10007);
    weights[want.name] = at::randn(want.shape, generator).mul_(0.2).add_(norm ? 1 : 0);
  }
  return weights;
}

TEST(DecodeStepFields, EveryFieldOfTheConfigHasARow) {
  std::set<std::string> known;
  for (const FieldUse& use : kUses) known.insert(use.field);
  for (const Unused& row : kOfOthers) known.insert(row.fields.begin(), row.fields.end());
  for (const Unused& row : kReadBefore) known.insert(row.fields.begin(), row.fields.end());
  std::set<std::string> fields;
  for (const auto& [field, value] : tests::FieldsOf(ModelConfig())) fields.insert(field);
  for (const std::string& field : fields) {
    EXPECT_TRUE(known.contains(field))
        << "ModelConfig has a field " << field << " that no row names. Transformer::Impl::Run and "
        << "TokenStep must both honour it: give kUses a model that shows it, or say in kOfOthers "
        << "or kReadBefore why no decoder's step depends on it.";
  }
  for (const std::string& field : known) {
    EXPECT_TRUE(fields.contains(field)) << "ModelConfig has no field " << field;
  }
}

TEST(DecodeStepFields, AChangeShowsTheSameInBothWays) {
  for (const FieldUse& use : kUses) {
    SCOPED_TRACE(std::string(use.field) + " of " + use.model);
    const ModelConfig before = ConfigOf(use.model);
    ModelConfig after = before;
    use.change(after);
    EXPECT_NE(tests::FieldsOf(before).at(use.field), tests::FieldsOf(after).at(use.field))
        << "the row changes another field";
    const auto logits = [](const ModelConfig& config) {
      const TensorMap weights = WeightsOf(config);
      return tests::ExpectBothWaysAlike([&] { return Transformer(config, weights); }, {2});
    };
    EXPECT_GT(tests::LogitsDifference(logits(after), logits(before)), 1e-3)
        << "this model does not show the field";
  }
}

TEST(DecodeStepFields, NoDecoderHasWhatOnlyOthersHave) {
  std::vector<ModelConfig> configs;
  for (const Json& json : ModelsThatDecode()) configs.push_back(ParseModelConfig(json, "c"));
  for (const auto& pico : std::filesystem::directory_iterator(tests::TestData() / "pico")) {
    const ModelConfig config = ReadModelConfig(pico.path() / "config.json");
    if (config.head == Head::kLanguageModel) configs.push_back(config);
  }
  const tests::FieldValues defaults = tests::FieldsOf(ModelConfig());
  for (const ModelConfig& config : configs) {
    const tests::FieldValues values = tests::FieldsOf(config);
    for (const Unused& row : kOfOthers) {
      for (const std::string& field : row.fields) {
        EXPECT_EQ(values.at(field), defaults.at(field))
            << config.model_type << " decodes and has " << field
            << ", of which it is said: " << row.reason;
      }
    }
  }
}

}  // namespace
}  // namespace moefy::model
