#include "train/weights.h"

#include <gtest/gtest.h>

#include "model/expected_tensors.h"
#include "model/family.h"
#include "moefy/model/transformer.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "train/optimizer.h"

namespace moefy::train {
namespace {

TEST(TrainableWeights, LoraBeginsAtTheParametersAndMovesByLowRank) {
  const at::Tensor w = at::randn({6, 5}), other = at::randn({6, 5});
  TrainableWeights weights({{"w", w}, {"other", other}}, {"w"}, {2, 4}, 1);
  EXPECT_EQ(weights.leaves().size(), 2U);
  EXPECT_EQ(weights.changed(), std::set<std::string>{"w"});
  EXPECT_TRUE(at::equal(weights.Effective().at("w"), w));
  {
    const at::NoGradGuard no_grad;
    weights.leaves().at("w.lora_b").fill_(1);
    const at::Tensor change = weights.Effective().at("w") - w;
    const at::Tensor a = weights.leaves().at("w.lora_a");
    EXPECT_TRUE(at::allclose(change, at::ones({6, 2}).matmul(a) * 2.0));  // alpha / rank
    EXPECT_TRUE(at::equal(weights.Effective().at("other"), other));
  }
  weights.Effective().at("w").sum().backward();
  EXPECT_FALSE(w.grad().defined());
  EXPECT_TRUE(weights.leaves().at("w.lora_a").grad().defined());
}

TEST(TrainableWeights, WhatIsFreshIsTrainedItself) {
  const at::Tensor w = at::randn({6, 5}), head = at::randn({2, 6}), bias = at::zeros({2});
  const TrainableWeights weights({{"w", w}, {"head", head}, {"bias", bias}}, {"w"}, {2, 4}, 1,
                                 {"head", "bias"});
  EXPECT_EQ(weights.changed(), (std::set<std::string>{"w", "head", "bias"}));
  const model::TensorMap effective = weights.Effective();
  for (const char* name : {"head", "bias"}) {
    EXPECT_TRUE(effective.at(name).is_same(weights.leaves().at(name))) << name;
  }
  EXPECT_TRUE(weights.leaves().contains("w.lora_a"));
}

TEST(AddInitialParameters, LeaveWhatIsThere) {
  const model::ModelConfig config =
      model::ReadModelConfig(tests::Pico("bert-cls-gelu") / "config.json");
  model::TensorMap parameters = InitialParameters(config, 1);
  const at::Tensor kept = parameters.at("bert.pooler.dense.weight");
  parameters.erase("classifier.weight");
  parameters.erase("classifier.bias");
  EXPECT_EQ(AddInitialParameters(config, 2, parameters),
            (std::set<std::string>{"classifier.bias", "classifier.weight"}));
  EXPECT_TRUE(parameters.at("bert.pooler.dense.weight").is_same(kept));
  EXPECT_NEAR(parameters.at("classifier.weight").std().item<double>(), 0.02, 0.005);
  EXPECT_EQ(parameters.at("classifier.bias").abs().sum().item<double>(), 0);
}

TEST(SelectParameters, ByWhatTheyAreFor) {
  const model::ModelConfig config =
      model::ReadModelConfig(tests::Pico("t5-relu-tied") / "config.json");
  const auto all = SelectParameters(config, "all"), ffn = SelectParameters(config, "ffn"),
             out = SelectParameters(config, "w-out");
  EXPECT_EQ(out.size(), model::FfnSpecs(config).size());
  EXPECT_EQ(ffn.size(), 2 * out.size());
  EXPECT_TRUE(std::includes(all.begin(), all.end(), ffn.begin(), ffn.end()));
  tests::ExpectError(ErrorKind::kUsage, {"--train", "w-out"},
                     [&] { SelectParameters(config, "w-in"); });
}

TEST(InitialParameters, MakeAModelThatRuns) {
  for (const char* pico :
       {"t5-relu-tied", "bert-cls-gelu", "llama-llama3-rope-scaling", "gemma-mqa"}) {
    SCOPED_TRACE(pico);
    const model::ModelConfig config = model::ReadModelConfig(tests::Pico(pico) / "config.json");
    const model::TensorMap parameters = InitialParameters(config, 1);
    model::Transformer model(config, parameters);
    model::ForwardInputs inputs;
    inputs.input_ids = at::arange(2, 12, at::kLong).view({2, 5});
    inputs.decoder_input_ids = at::arange(2, 6, at::kLong).view({2, 2});
    EXPECT_TRUE(model.Forward(inputs).logits.isfinite().all().item<bool>());
    for (const auto& [name, tensor] : InitialParameters(config, 1)) {
      EXPECT_TRUE(at::equal(tensor, parameters.at(name))) << name;
    }
  }
}

// One step of AdamW by hand: with a fresh state the step is the rate against the sign.
TEST(Optimizer, AdamWStepsDecaysAndClips) {
  const at::Tensor w = at::tensor({1.0F, -2.0F}).requires_grad_();
  Optimizer optimizer({{"w", w}}, [](const std::string&, const at::Tensor&) {
    return Optimizer::Rule{false, 0.5};
  });
  (w * at::tensor({30.0F, -40.0F})).sum().backward();
  EXPECT_NEAR(optimizer.Step(0, 0.1, 1.0), 50, 1e-4);  // the norm before it is limited
  EXPECT_NEAR(w[0].item<double>(), 1 * (1 - 0.05) - 0.1, 1e-5);
  EXPECT_NEAR(w[1].item<double>(), -2 * (1 - 0.05) + 0.1, 1e-5);
  EXPECT_EQ(w.grad().abs().sum().item<double>(), 0);
}

TEST(Optimizer, MuonMovesAllSingularValuesAlike) {
  at::manual_seed(1);
  const at::Tensor w = at::zeros({8, 8}).requires_grad_();
  Optimizer optimizer({{"w", w}}, [](const std::string&, const at::Tensor&) {
    return Optimizer::Rule{true, 0};
  });
  (w * at::randn({8, 8})).sum().backward();
  optimizer.Step(0.1, 0, 0);
  const at::Tensor singular = std::get<1>(at::svd(w.detach()));
  EXPECT_GT(singular.min().item<double>(), 0.02);
  EXPECT_LT(singular.max().item<double>(), 0.13);
}

}  // namespace
}  // namespace moefy::train
