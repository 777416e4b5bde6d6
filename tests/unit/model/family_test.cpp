#include "model/family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/activation.h"
#include "model/expected_tensors.h"
#include "support/expect_error.h"
#include "support/shared_data.h"

namespace moefy::model {
namespace {

using testing::ElementsAre;
using tests::ExpectError;

Json PicoConfig(const std::string& name) {
  return ReadJsonFile(tests::TestData() / "pico" / name / "config.json");
}

// One lie about a good config per row.
struct Lie {
  const char* model;
  const char* key;
  Json value;
  std::initializer_list<std::string_view> fragments;
};

TEST(Family, ConfigsThatLieAreRefusedWithFieldAndValue) {
  const Lie lies[] = {
      {"t5-relu-tied",
       "model_type",
       "t55",
       {"model_type", "'t55'", "moefy does not know; supported: t5"}},
      {"t5-relu-tied", "model_type", 5, {"model_type", "5", "string"}},
      {"t5-relu-tied", "d_ff", 0, {"d_ff", "0"}},
      {"t5-relu-tied", "d_ff", -3, {"d_ff", "-3"}},
      {"t5-relu-tied", "d_ff", 1.5, {"d_ff", "1.5", "whole number"}},
      {"t5-relu-tied", "num_layers", 1000000000000, {"num_layers", "1000000000000"}},
      {"t5-relu-tied", "vocab_size", -1, {"vocab_size", "-1"}},
      {"t5-relu-tied",
       "feed_forward_proj",
       "reluu",
       {"feed_forward_proj", "'reluu'", "supported: relu, relu2"}},
      {"t5-relu-tied", "relative_attention_max_distance", 16, {"max_distance", "16", "32 buckets"}},
      {"t5-relu-tied", "pad_token_id", 203, {"pad_token_id", "203", "202"}},
      {"bert-cls-gelu", "num_attention_heads", 7, {"hidden_size", "48", "7"}},
      {"bert-cls-gelu", "hidden_act", "gleu", {"hidden_act", "'gleu'", "supported"}},
      {"bert-cls-gelu", "position_embedding_type", "relative_key", {"'relative_key'"}},
      {"bert-cls-gelu",
       "architectures",
       Json::array({"BertForNextSentencePrediction"}),
       {"'BertForNextSentencePrediction'", "ForMaskedLM", "ForTokenClassification"}},
      {"bert-cls-gelu",
       "problem_type",
       "multi_label",
       {"problem_type", "multi_label_classification"}},
      {"t5-relu-tied", "architectures", Json::array({"T5Model"}), {"'T5Model'", "EncoderModel"}},
      {"gpt2-relu-ninner", "architectures", Json::array(), {"architectures", "missing or empty"}},
      {"bert-cls-gelu", "id2label", Json::object(), {"id2label", "0 labels"}},
      {"roberta-cls-gelu", "pad_token_id", 207, {"pad_token_id", "207", "206"}},
      {"llama-llama3-rope-scaling", "num_key_value_heads", 3, {"num_attention_heads", "4", "3"}},
      {"llama-llama3-rope-scaling", "num_key_value_heads", 0, {"num_key_value_heads", "0"}},
      {"llama-llama3-rope-scaling", "num_attention_heads", 16, {"16", "heads of 3", "even"}},
      {"llama-llama3-rope-scaling", "num_attention_heads", 1000000000000, {"1000000000000"}},
      {"llama-llama3-rope-scaling", "eos_token_id", Json::array({1, 201}), {"eos_token_id", "201"}},
      {"llama-llama3-rope-scaling", "rope_scaling", {{"rope_type", "yarn"}}, {"'yarn'", "llama3"}},
      {"llama-llama3-rope-scaling", "rope_theta", -1, {"rope_theta", "-1"}},
      {"gpt2-relu-ninner", "n_head", 7, {"n_embd", "40", "7"}},
      {"gpt2-relu-ninner", "n_positions", -64, {"n_positions", "-64"}},
      {"gpt2-relu-ninner", "add_cross_attention", true, {"add_cross_attention", "true"}},
      {"gpt2-relu-ninner", "architectures", Json::array({"GPT2Model"}), {"'GPT2Model'", "LMHead"}},
      {"bert-cls-gelu", "is_decoder", true, {"is_decoder", "true", "only false"}},
      {"qwen2-tied", "layer_types", {"full_attention"}, {"layer_types", "1 entries", "2 layers"}},
      {"qwen2-tied", "layer_types", {"full_attention", "chunked"}, {"layer_types[1]", "'chunked'"}},
      {"qwen2-tied",
       "layer_types",
       {"full_attention", "sliding_attention"},
       {"layer_types[1]", "no sliding_window"}},
      {"qwen2-tied", "add_cross_attention", true, {"add_cross_attention", "true", "only false"}},
      {"qwen2-tied", "pruned_heads", {{"1", {0, 2}}}, {"pruned_heads", "only {}"}},
      {"llama-llama3-rope-scaling",
       "rope_parameters",
       {{"rope_type", "default"}},
       {"rope_scaling", "beside rope_parameters"}},
      {"qwen2-tied",
       "rope_parameters",
       {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}},
       {"partial_rotary_factor", "0.5", "whole heads"}},
      {"qwen2-tied",
       "rope_parameters",
       {{"rope_type", "default"}, {"mrope_section", {2, 3}}},
       {"rope_parameters", "unknown key 'mrope_section'"}},
      {"qwen2-tied", "rope_parameters", {{"rope_type", "longrope"}}, {"'longrope'", "llama3"}},
      {"falcon-7b-like-mqa", "n_head", 3, {"num_attention_heads", "7", "n_head", "3"}},
      {"gpt_neox-parallel", "rotary_pct", 0.05, {"num_attention_heads", "0 are to be rotated"}},
      {"falcon-7b-like-mqa", "alibi", true, {"alibi", "true"}},
      {"m2m_100-relu", "d_model", 49, {"d_model", "49"}},
      {"marian-swish", "encoder_layers", 1000000000000, {"encoder_layers", "1000000000000"}},
  };
  for (const Lie& lie : lies) {
    SCOPED_TRACE(StrCat(lie.model, " ", lie.key, " = ", lie.value.dump()));
    Json config = PicoConfig(lie.model);
    EXPECT_NO_THROW(ParseModelConfig(config, "config.json"));  // the truthful twin
    config[lie.key] = lie.value;
    ExpectError(ErrorKind::kInput, lie.fragments, [&] { ParseModelConfig(config, "config.json"); });
  }
}

TEST(Family, DefaultsAreTheReferencesOwn) {
  const ModelConfig t5 = ParseModelConfig({{"model_type", "t5"}}, "config.json");
  EXPECT_EQ(t5.hidden, 512);
  EXPECT_EQ(t5.decoder.num_neurons, 2048);
  EXPECT_EQ(t5.decoder.num_layers, 6);
  EXPECT_EQ(t5.relative_max_distance, 128);
  EXPECT_TRUE(t5.tied_embeddings);
  EXPECT_EQ(t5.activation, Activation::kRelu);
}

TEST(Family, AnAbsentSlidingWindowIsNotNone) {
  Json config = PicoConfig("mistral-gqa");  // null there
  EXPECT_EQ(ParseModelConfig(config, "c").sliding_window, 0);
  config["sliding_window"] = 8;
  EXPECT_EQ(ParseModelConfig(config, "c").sliding_window, 8);
  config.erase("sliding_window");
  EXPECT_EQ(ParseModelConfig(config, "c").sliding_window, 4096);
}

TEST(Family, OnlyWhatComputesTheSameIsSuggested) {
  for (const char* other : {"relu3", "prelu", "gelu_11", "swiglu", "laplace"}) {
    Json config = PicoConfig("qwen2-tied");
    config["hidden_act"] = other;
    try {
      ParseModelConfig(config, "c");
      ADD_FAILURE() << other;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("did you mean"), std::string::npos) << error.what();
    }
  }
  ExpectError(ErrorKind::kInput, {"'ReLU'", "did you mean 'relu'"},
              [] { ParseActivation("ReLU", "act"); });
}

TEST(Family, ActivationsAreReadBackByTheirNames) {
  Activation fat = Activation::kFatRelu, both = Activation::kRelu;
  fat.threshold = 0.01;
  both.on_both = true;
  for (const Activation& activation :
       {Activation(Activation::kRelu), Activation(Activation::kRelu2), fat, both,
        Activation(Activation::kGelu10), Activation(Activation::kMish)}) {
    EXPECT_EQ(ParseActivation(ActivationName(activation), "act"), activation);
  }
  EXPECT_EQ(ActivationName(fat), "fatrelu(0.01)");
  ExpectError(ErrorKind::kInput, {"'fatrelu(x)'"}, [] { ParseActivation("fatrelu(x)", "act"); });
}

TEST(Family, ClassesOfTheirOwnRunWhereTheyAreDeclaredEqual) {
  Json config = PicoConfig("llama-llama3-rope-scaling");
  config["auto_map"] = {{"AutoConfig", "configuration_x.XConfig"},
                        {"AutoModelForCausalLM", "modeling_llama.LlamaForCausalLM"}};
  EXPECT_EQ(ParseModelConfig(config, "c").activation, Activation::kSilu);
  config["auto_map"]["AutoModelForCausalLM"] = "someone/repository--modeling_x.XForCausalLM";
  ExpectError(ErrorKind::kInput, {"AutoModelForCausalLM", "'XForCausalLM'", "Llama..."},
              [&] { ParseModelConfig(config, "c"); });
  config.erase("auto_map");
  config["architectures"] = {"LlamaxForCausalLM"};
  ExpectError(ErrorKind::kInput, {"architectures", "'LlamaxForCausalLM'"},
              [&] { ParseModelConfig(config, "c"); });

  // ProSparse
  config["architectures"] = {"SparseLlamaForCausalLM"};
  config["hidden_act"] = "fatrelu";
  ExpectError(ErrorKind::kInput, {"hidden_act_param", "missing"},
              [&] { ParseModelConfig(config, "c"); });
  config["hidden_act_param"] = 0.01;
  EXPECT_EQ(ActivationName(ParseModelConfig(config, "c").activation), "fatrelu(0.01)");
  config["model_type"] = "qwen2";
  ExpectError(ErrorKind::kInput, {"SparseLlama"}, [&] { ParseModelConfig(config, "c"); });

  // TurboSparse
  config = PicoConfig("mistral-gqa");
  config["architectures"] = {"TurboSparseMistralForCausalLM"};
  ExpectError(ErrorKind::kInput, {"hidden_act", "'silu'", "expected 'relu'"},
              [&] { ParseModelConfig(config, "c"); });
  config["hidden_act"] = "relu";
  EXPECT_TRUE(ParseModelConfig(config, "c").activation.on_both);
  config["architectures"] = {"MistralForCausalLM"};
  EXPECT_FALSE(ParseModelConfig(config, "c").activation.on_both);
}

TEST(Family, KeysThatNothingIsKnownOfAreNamed) {
  Json config = PicoConfig("qwen2-tied");
  std::vector<std::string> warnings;
  ParseModelConfig(config, "c", &warnings);
  EXPECT_THAT(warnings, testing::IsEmpty());
  config["sinks"] = 4;
  ParseModelConfig(config, "c", &warnings);
  EXPECT_THAT(warnings, ElementsAre(testing::HasSubstr("'sinks' is a key")));
}

TEST(Family, KeysThatOtherProgramsWriteAreKnown) {
  const auto warns = [](const char* pico, const Json& more) {
    Json config = PicoConfig(pico);
    config.update(more);
    std::vector<std::string> warnings;
    ParseModelConfig(config, "c", &warnings);
    return !warnings.empty();
  };
  EXPECT_FALSE(
      warns("bart-gelu",
            {{"save_step", 58}, {"output_past", true}, {"force_bos_token_to_be_generated", true}}));
  EXPECT_FALSE(warns("bert-cls-gelu",
                     {{"sentence_transformers", {{"version", "4.1.0"}}}, {"ff_factor", 4}}));
  EXPECT_TRUE(warns("bert-cls-gelu", {{"layers_to_keep", Json::array()}}));  // ALBERT's alone
}

TEST(Family, NoCommittedConfigHasAKeyThatNothingIsKnownOf) {
  for (const auto& entry : std::filesystem::directory_iterator(tests::TestData() / "pico")) {
    SCOPED_TRACE(entry.path());
    std::vector<std::string> warnings;
    ParseModelConfig(PicoConfig(entry.path().filename().string()), "c", &warnings);
    EXPECT_THAT(warnings, testing::IsEmpty());
  }
}

TEST(Family, NullEndsNoText) {
  Json config = PicoConfig("llama-llama3-rope-scaling");
  EXPECT_EQ(ParseModelConfig(config, "c").eos_id, 2);
  for (const Json& none : {Json(nullptr), Json::array(), Json(-1)}) {
    config["eos_token_id"] = none;
    EXPECT_EQ(ParseModelConfig(config, "c").eos_id, -1) << none.dump();
  }
  config.erase("eos_token_id");
  EXPECT_EQ(ParseModelConfig(config, "c").eos_id, 2);  // the reference's default
}

TEST(Family, WindowsAndRotationsOfLayers) {
  Json config = {{"model_type", "gemma3_text"},
                 {"architectures", {"Gemma3ForCausalLM"}},
                 {"num_hidden_layers", 7}};
  ModelConfig gemma = ParseModelConfig(config, "c");
  EXPECT_EQ(gemma.sliding_window, 4096);
  EXPECT_TRUE(gemma.attention_of(4).windowed);
  EXPECT_FALSE(gemma.attention_of(5).windowed);
  EXPECT_EQ(gemma.rotary.base, 1e6);
  ASSERT_TRUE(gemma.local_rotary.has_value());
  EXPECT_EQ(gemma.local_rotary->base, 1e4);
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};  // not of windowed layers
  gemma = ParseModelConfig(config, "c");
  EXPECT_EQ(gemma.rotary.factor, 8);
  EXPECT_EQ(gemma.local_rotary->factor, 1);

  config = {{"model_type", "smollm3"}, {"architectures", {"SmolLM3ForCausalLM"}}};
  EXPECT_TRUE(ParseModelConfig(config, "c").attention_of(2).rotary);
  EXPECT_FALSE(ParseModelConfig(config, "c").attention_of(3).rotary);
  config["num_hidden_layers"] = 2;
  config["no_rope_layers"] = {0, 1};
  EXPECT_FALSE(ParseModelConfig(config, "c").attention_of(0).rotary);
  EXPECT_TRUE(ParseModelConfig(config, "c").attention_of(1).rotary);

  config = PicoConfig("qwen2-tied");
  config["use_sliding_window"] = true;
  config["sliding_window"] = 8;
  config["max_window_layers"] = 1;
  const ModelConfig qwen = ParseModelConfig(config, "c");
  EXPECT_EQ(qwen.sliding_window, 8);
  EXPECT_FALSE(qwen.attention_of(0).windowed);
  EXPECT_TRUE(qwen.attention_of(1).windowed);
}

TEST(Family, EveryFamilySaysWhatItRestsOn) {
  for (const Family& family : Families()) {
    SCOPED_TRACE(family.name);
    EXPECT_FALSE(family.description.empty());
    EXPECT_NE(family.source.find("recorded outputs"), std::string::npos);
    EXPECT_EQ(GetFamily(family.name).name, family.name);
  }
}

TEST(Family, FfnsAreListedInExecutionOrder) {
  std::vector<std::string> names;
  for (const FfnSpec& spec : FfnSpecs(ParseModelConfig(PicoConfig("t5-relu-tied"), "c"))) {
    names.push_back(spec.name + " " + spec.w_in);
  }
  EXPECT_THAT(names, ElementsAre("encoder.ffn.0 encoder.block.0.layer.1.DenseReluDense.wi.weight",
                                 "encoder.ffn.1 encoder.block.1.layer.1.DenseReluDense.wi.weight",
                                 "encoder.ffn.2 encoder.block.2.layer.1.DenseReluDense.wi.weight",
                                 "decoder.ffn.0 decoder.block.0.layer.2.DenseReluDense.wi.weight",
                                 "decoder.ffn.1 decoder.block.1.layer.2.DenseReluDense.wi.weight"));
}

TEST(Family, EveryExpectedTensorIsInThePicoModels) {
  for (const auto& entry : std::filesystem::directory_iterator(tests::TestData() / "pico")) {
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    const io::Checkpoint checkpoint = io::Checkpoint::Open(tests::TestData() / "pico" / name);
    std::vector<std::string> expected;
    for (const ExpectedTensor& tensor : ExpectedTensors(ParseModelConfig(PicoConfig(name), "c"))) {
      if (tensor.required || checkpoint.Find(tensor.name)) expected.push_back(tensor.name);
    }
    EXPECT_THAT(expected, testing::UnorderedElementsAreArray(checkpoint.TensorNames()));
  }
}

}  // namespace
}  // namespace moefy::model
