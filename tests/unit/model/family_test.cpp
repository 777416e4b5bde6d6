#include "moefy/model/family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
      {"t5-relu-tied", "model_type", "t55", {"model_type", "'t55'", "did you mean 't5'"}},
      {"t5-relu-tied", "model_type", 5, {"model_type", "5", "string"}},
      {"t5-relu-tied", "d_ff", 0, {"d_ff", "0"}},
      {"t5-relu-tied", "d_ff", -3, {"d_ff", "-3"}},
      {"t5-relu-tied", "d_ff", 1.5, {"d_ff", "1.5", "whole number"}},
      {"t5-relu-tied", "num_layers", 1000000000000, {"num_layers", "1000000000000"}},
      {"t5-relu-tied", "vocab_size", -1, {"vocab_size", "-1"}},
      {"t5-relu-tied", "feed_forward_proj", "reluu", {"feed_forward_proj", "did you mean 'relu'"}},
      {"t5-relu-tied", "relative_attention_max_distance", 16, {"max_distance", "16", "32 buckets"}},
      {"t5-relu-tied", "pad_token_id", 203, {"pad_token_id", "203", "202"}},
      {"bert-cls-gelu", "num_attention_heads", 7, {"hidden_size", "48", "7"}},
      {"bert-cls-gelu", "hidden_act", "gleu", {"hidden_act", "did you mean 'gelu'"}},
      {"bert-cls-gelu", "position_embedding_type", "relative_key", {"'relative_key'"}},
      {"bert-cls-gelu", "architectures", Json::array({"BertForMaskedLM"}), {"'BertForMaskedLM'"}},
      {"bert-cls-gelu", "architectures", Json::array(), {"architectures", "missing or empty"}},
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
  EXPECT_EQ(t5.num_neurons, 2048);
  EXPECT_EQ(t5.num_decoder_layers, 6);
  EXPECT_EQ(t5.relative_max_distance, 128);
  EXPECT_TRUE(t5.tied_embeddings);
  EXPECT_EQ(t5.activation, Activation::kRelu);
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
  for (const char* name :
       {"t5-relu-tied", "t5-v1_1-gated-gelu-untied", "bert-cls-gelu", "bert-qa-gelu"}) {
    SCOPED_TRACE(name);
    const io::Checkpoint checkpoint = io::Checkpoint::Open(tests::TestData() / "pico" / name);
    std::vector<std::string> expected;
    for (const ExpectedTensor& tensor : ExpectedTensors(ParseModelConfig(PicoConfig(name), "c"))) {
      expected.push_back(tensor.name);
    }
    EXPECT_THAT(expected, testing::UnorderedElementsAreArray(checkpoint.TensorNames()));
  }
}

}  // namespace
}  // namespace moefy::model
