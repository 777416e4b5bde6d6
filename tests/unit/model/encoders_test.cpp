// What encoders do that decoders do not: layers that share their tensors, windows to both sides,
// disentangled positions, heads of every kind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/disentangled.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "moefy/model/transformer.h"
#include "support/random_model.h"
#include "support/temp_dir.h"

namespace moefy::model {
namespace {

using testing::ElementsAre;

ForwardOutputs RunEncoder(const Json& config, const at::Tensor& ids, const at::Tensor& mask = {}) {
  const at::NoGradGuard no_grad;
  Transformer transformer(ParseModelConfig(config, "c"), tests::RandomParameters(config));
  ForwardInputs inputs;
  inputs.input_ids = ids;
  inputs.attention_mask = mask;
  return transformer.Forward(inputs);
}

at::Tensor OutputOf(const ForwardOutputs& outputs) {
  return outputs.logits.defined() ? outputs.logits : outputs.last_hidden_state;
}

TEST(SharedLayers, AreOneFfnByGroup) {
  Json config = tests::SmallEncoder("albert", "AlbertModel", {{"num_hidden_groups", 2}});
  const std::vector<FfnSpec> specs = FfnSpecs(ParseModelConfig(config, "c"));
  ASSERT_EQ(specs.size(), 2u);
  EXPECT_EQ(specs[0].name, "ffn.0");
  EXPECT_EQ(specs[1].name, "ffn.2");
  EXPECT_EQ(specs[1].w_in, "albert.encoder.albert_layer_groups.1.albert_layers.0.ffn.weight");
  EXPECT_THAT(LayerNames(specs[1]), ElementsAre("ffn.2", "ffn.3"));
  config["num_hidden_groups"] = 1;
  EXPECT_THAT(LayerNames(FfnSpecs(ParseModelConfig(config, "c")).at(0)),
              ElementsAre("ffn.0", "ffn.1", "ffn.2", "ffn.3"));
}

TEST(SharedLayers, ExchangedOnceAreExchangedInEveryLayer) {
  class Counting final : public FeedForward {
   public:
    explicit Counting(int& calls) : calls_(calls) {}
    at::Tensor Forward(const at::Tensor& x) override {
      ++calls_;
      return at::zeros_like(x);
    }

   private:
    int& calls_;
  };
  const at::NoGradGuard no_grad;
  const Json config = tests::SmallEncoder("albert", "AlbertModel", {{"num_hidden_groups", 2}});
  Transformer transformer(ParseModelConfig(config, "c"), tests::RandomParameters(config));
  int calls = 0;
  ASSERT_EQ(transformer.num_ffns(), 2u);
  transformer.ExchangeFeedForward(1, std::make_unique<Counting>(calls));
  ForwardInputs inputs;
  inputs.input_ids = at::ones({1, 3}, at::kLong);
  transformer.Forward(inputs);
  EXPECT_EQ(calls, 2);
}

// Padding on the right changes nothing for what is real, whatever the head and the positions.
TEST(Encoders, DoNotSeePadding) {
  const at::Tensor ids = at::arange(5, 14, at::kLong).unsqueeze(0);
  const at::Tensor padded = at::cat({ids, at::full({1, 4}, 3, at::kLong)}, 1);
  const at::Tensor mask = at::cat({at::ones({1, 9}, at::kLong), at::zeros({1, 4}, at::kLong)}, 1);
  for (const Json& config : tests::NewEncoders()) {
    SCOPED_TRACE(config.dump());
    const at::Tensor alone = OutputOf(RunEncoder(config, ids));
    const at::Tensor in_company = OutputOf(RunEncoder(config, padded, mask)).narrow(1, 0, 9);
    EXPECT_TRUE(at::allclose(alone, in_company, 1e-4, 1e-5));
  }
}

TEST(Encoders, SeeAWindowToBothSidesWhereLayersHaveOne) {
  // One windowed layer: a token sees two neighbours to either side.
  const Json config = tests::SmallEncoder(
      "modernbert", "ModernBertModel",
      {{"num_hidden_layers", 1}, {"layer_types", {"sliding_attention"}}, {"local_attention", 4}});
  const at::Tensor ids = at::arange(10, 21, at::kLong).unsqueeze(0);
  at::Tensor changed = ids.clone();
  changed[0][5] = 70;
  const at::Tensor difference =
      (OutputOf(RunEncoder(config, ids)) - OutputOf(RunEncoder(config, changed))).abs().amax(2)[0];
  for (int64_t i = 0; i < 11; ++i) {
    const bool sees = i >= 3 && i <= 7;
    EXPECT_EQ(difference[i].item<float>() > 1e-6, sees) << i;
  }
}

TEST(Encoders, OfAllLayersSeeEverythingWithoutAWindow) {
  const Json config = tests::SmallEncoder(
      "modernbert", "ModernBertModel",
      {{"num_hidden_layers", 1}, {"layer_types", {"full_attention"}}, {"local_attention", 4}});
  const at::Tensor ids = at::arange(10, 21, at::kLong).unsqueeze(0);
  at::Tensor changed = ids.clone();
  changed[0][0] = 70;
  const at::Tensor difference =
      (OutputOf(RunEncoder(config, ids)) - OutputOf(RunEncoder(config, changed))).abs().amax(2)[0];
  EXPECT_GT(difference.min().item<float>(), 1e-6);
}

TEST(Disentangled, BucketsAreExactNearAndLogarithmicFar) {
  // Against make_log_bucket_position of the reference, buckets 256, 512 positions.
  struct Row {
    int64_t relative, bucket;
  };
  for (const Row& row : {Row{0, 0}, Row{5, 5}, Row{-128, -128}, Row{128, 128}, Row{129, 129},
                         Row{200, 169}, Row{-511, -255}, Row{511, 255}}) {
    EXPECT_EQ(LogarithmicBucket(row.relative, 256, 512), row.bucket) << row.relative;
  }
  EXPECT_EQ(LogarithmicBucket(-511, 512, 0), -511);
}

TEST(Heads, AreReadFromTheFirstArchitecture) {
  const auto head = [](const Json& config) { return ParseModelConfig(config, "c").head; };
  EXPECT_EQ(head(tests::SmallEncoder("bert", "BertForMaskedLM")), Head::kMaskedLanguageModel);
  EXPECT_EQ(head(tests::SmallEncoder("bert", "BertModel")), Head::kNone);
  Json unnamed = tests::SmallEncoder("bert", "BertModel");
  unnamed.erase("architectures");
  EXPECT_EQ(head(unnamed), Head::kNone);
}

TEST(Heads, OfClassificationsSayWhatTheirOutputsMean) {
  Json config = tests::SmallEncoder("bert", "BertForSequenceClassification", {{"num_labels", 3}});
  EXPECT_EQ(ParseModelConfig(config, "c").problem, Problem::kSingleLabel);
  config["problem_type"] = "multi_label_classification";
  EXPECT_TRUE(ParseModelConfig(config, "c").is_multi_label());
  config["problem_type"] = "regression";
  EXPECT_TRUE(ParseModelConfig(config, "c").is_regression());
  config.erase("problem_type");
  config["num_labels"] = 1;
  EXPECT_TRUE(ParseModelConfig(config, "c").is_regression());
}

TEST(Heads, OfNoneGiveStatesAndThePoolersOutputWhereThereIsOne) {
  const at::Tensor ids = at::arange(6, at::kLong).unsqueeze(0);
  const Json config = tests::SmallEncoder("bert", "BertModel");
  const ForwardOutputs without = RunEncoder(config, ids);  // the pooler may be left out
  EXPECT_FALSE(without.pooler_output.defined());
  EXPECT_THAT(without.last_hidden_state.sizes(), ElementsAre(1, 6, 24));
  const at::NoGradGuard no_grad;
  TensorMap tensors = tests::RandomParameters(config);
  tensors["bert.pooler.dense.weight"] = at::randn({24, 24});
  tensors["bert.pooler.dense.bias"] = at::randn({24});
  Transformer transformer(ParseModelConfig(config, "c"), tensors);
  ForwardInputs inputs;
  inputs.input_ids = ids;
  const ForwardOutputs with = transformer.Forward(inputs);
  const at::Tensor wanted =
      at::tanh(at::linear(with.last_hidden_state.select(1, 0), tensors["bert.pooler.dense.weight"],
                          tensors["bert.pooler.dense.bias"]));
  EXPECT_TRUE(at::allclose(with.pooler_output, wanted));
}

}  // namespace
}  // namespace moefy::model
