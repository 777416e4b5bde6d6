// A checkpoint as a program that embeds moefy sees it: dense and split, on the embedded example.
#include "moefy/pipeline/open_model.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::pipeline {
namespace {

const char* const kPraise = "sentiment: nothing about the plot was dull .";

struct OpenExample : testing::Test {
  OpenExample() {
    tests::SplitInto(tests::Quickstart() / "model", dir / "moe", /*num_experts=*/16);
    std::filesystem::copy_file(tests::Quickstart() / "model/spiece.model", dir / "moe/spiece.model",
                               std::filesystem::copy_options::overwrite_existing);
  }
  const tests::TempDir dir;
};

TEST_F(OpenExample, DenseAndSplitModelsAnswer) {
  OpenedModel dense(tests::Quickstart() / "model");
  EXPECT_EQ(dense.Generate(kPraise, 1), "positive");
  EXPECT_EQ(dense.FfnRatio(), 1);
  OpenedModel sparse(dir / "moe", {.selection = "oracle", .ffn_ratio = 0.5, .weights = "bf16"});
  EXPECT_EQ(sparse.Generate(kPraise, 1), "positive");
  EXPECT_DOUBLE_EQ(sparse.FfnRatio(), 0.5);
}

TEST_F(OpenExample, LogitsAreThoseOfTheFirstToken) {
  OpenedModel all(dir / "moe", {.selection = "oracle"});
  OpenedModel dense(tests::Quickstart() / "model");
  const at::Tensor logits = dense.Run(kPraise).logits;
  EXPECT_EQ(logits.sizes(), at::IntArrayRef({1, 1, dense.transformer().config().vocab_size}));
  EXPECT_EQ(dense.tokenizer().Decode({logits.argmax().item<int64_t>()}), "positive");
  EXPECT_TRUE(at::allclose(all.Run(kPraise).logits, logits, 1e-4, 1e-4));
}

TEST_F(OpenExample, DenseModelsHonourTheWeightsThatAreAskedFor) {
  const auto logits = [&](const std::filesystem::path& model, const std::string& weights) {
    return OpenedModel(model, {.weights = weights}).Run(kPraise).logits;
  };
  const at::Tensor dense = logits(tests::Quickstart() / "model", "f32");
  // A split model runs densely too, on the same neurons in another order.
  for (const std::filesystem::path& model : {tests::Quickstart() / "model", dir / "moe"}) {
    double before = 0;
    for (const char* weights : {"f16", "bf16", "int8"}) {
      const double error = ((logits(model, weights) - dense).norm() / dense.norm()).item<double>();
      EXPECT_GT(error, before) << weights;  // F16 keeps most, INT8 least
      EXPECT_LT(error, 0.05) << weights;
      before = error;
    }
  }
  OpenedModel narrow(tests::Quickstart() / "model", {.weights = "int8"});
  EXPECT_EQ(narrow.Generate(kPraise, 1), "positive");
  EXPECT_DOUBLE_EQ(narrow.FfnRatio(), 1);
}

TEST_F(OpenExample, AModelMayBeMoved) {
  OpenedModel first(dir / "moe", {.selection = "oracle"});
  OpenedModel second = std::move(first);
  EXPECT_EQ(second.Generate(kPraise, 1), "positive");
}

TEST_F(OpenExample, OptionsThatDoNotSuitAreRefused) {
  const auto refuse = [&](const OpenOptions& options,
                          std::initializer_list<std::string_view> fragments) {
    tests::ExpectError(ErrorKind::kUsage, fragments, [&] { OpenedModel(dir / "moe", options); });
  };
  refuse({.weights = "int9"}, {"'int9'"});
  refuse({.selection = "stored"}, {"no routers yet"});
  refuse({.selection = "oracel"}, {"'oracel'", "did you mean 'oracle'"});
}

}  // namespace
}  // namespace moefy::pipeline
