#include "eval/sparsity_study.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "eval/sparsity_plots.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"

namespace moefy::eval {
namespace {

using ::testing::HasSubstr;

// Neuron i sees input i alone, and adds it to output i.
model::FfnWeights Identity(int64_t n, model::Activation activation = model::Activation::kRelu) {
  model::FfnWeights ffn;
  ffn.w_in = at::eye(n);
  ffn.w_out = at::eye(n);
  ffn.activation = activation;
  return ffn;
}

FfnSparsity Study(const model::FfnWeights& ffn, const at::Tensor& x, int64_t max_tokens = 1 << 20) {
  const tests::TempDir temp;
  const auto dump = tests::WriteDump(temp.path() / "dump", {{"ffn.0", x}});
  return StudySparsity("ffn.0", ffn, record::RecordedInputs(dump, 0), max_tokens);
}

TEST(StudySparsity, CountsWhatReluLeavesAboveZero) {
  // Neuron 0 fires always, 1 and 2 together on half of the tokens, 3 never.
  const at::Tensor on = at::tensor({98.0f, 1.0f, 1.0f, -1.0f}),
                   off = at::tensor({1.0f, -1.0f, -1.0f, 0.0f});
  const FfnSparsity study = Study(Identity(4), at::stack({on, on, off, off}));
  EXPECT_EQ(study.tokens, 4);
  EXPECT_TRUE(study.exact);
  EXPECT_DOUBLE_EQ(study.active, 0.5);  // (3 + 3 + 1 + 1) / 16
  EXPECT_THAT(study.active_percentiles, testing::ElementsAre(0.25, 0.25, 0.75, 0.75, 0.75));
  EXPECT_THAT(study.rates, testing::ElementsAre(1.0, 0.5, 0.5, 0.0));
  EXPECT_EQ(study.dead, 1);
  EXPECT_EQ(study.hot, 1);  // half is not more than half
  // `on` needs 1, 1 and 2 neurons (98, then 99 of 100), `off` one.
  EXPECT_THAT(study.needed, testing::ElementsAre(0.25, 0.25, (2 + 2 + 1 + 1) / 16.0));
  EXPECT_NEAR(study.correlation_nearest, 1, 1e-12);
  EXPECT_NEAR(study.correlation_rms, 1, 1e-12);
}

TEST(StudySparsity, WithoutExactZerosContributionsDecide) {
  model::FfnWeights ffn = Identity(4, model::Activation::kLeakyRelu);
  ffn.w_gate = at::eye(4);  // the square of the input: 81, 9, 9, 1 are 90, not 95 %, not 99 %
  const FfnSparsity study = Study(ffn, at::tensor({9.0f, 3.0f, 3.0f, 1.0f}).view({1, 4}));
  EXPECT_FALSE(study.exact);
  EXPECT_DOUBLE_EQ(study.active, 0.75);  // the third ties with the second
  EXPECT_THAT(study.needed, testing::ElementsAre(0.5, 0.75, 0.75));
  EXPECT_EQ(study.dead, 1);
  EXPECT_EQ(study.correlation_nearest, 0);  // nothing varies over one token
}

TEST(StudySparsity, ReluMakesExactZerosBehindAGateToo) {
  model::FfnWeights ffn = Identity(4);
  ffn.w_gate = at::eye(4);
  const FfnSparsity study = Study(ffn, at::tensor({9.0f, 3.0f, 3.0f, -1.0f}).view({1, 4}));
  EXPECT_TRUE(study.exact);
  EXPECT_DOUBLE_EQ(study.active, 0.75);
  EXPECT_EQ(study.dead, 1);
}

TEST(StudySparsity, CorrelationTellsGroupsFromChance) {
  at::manual_seed(3);
  const int64_t tokens = 4000, n = 128;
  const FfnSparsity alone = Study(Identity(n), at::randn({tokens, n}));
  const double chance = 1 / std::sqrt(static_cast<double>(tokens));
  EXPECT_NEAR(alone.correlation_rms, chance, 0.1 * chance);
  EXPECT_LT(alone.correlation_nearest, 3 * chance);
  // Groups of 32 that fire as one.
  const at::Tensor groups = at::randn({tokens, n / 32}).repeat({1, 32});
  const FfnSparsity grouped = Study(Identity(n), groups);
  EXPECT_NEAR(grouped.correlation_nearest, 1, 1e-7);  // of F32 counts
  EXPECT_NEAR(grouped.correlation_rms, std::sqrt(31.0 / 127), 0.01);
}

TEST(StudySparsity, LooksAtNoMoreThanAskedAndAtNothing) {
  EXPECT_EQ(Study(Identity(3), at::ones({600, 3}), 300).tokens, 300);
  const FfnSparsity none = Study(Identity(3), at::ones({0, 3}));
  EXPECT_EQ(none.tokens, 0);
  EXPECT_EQ(none.active, 0);
  EXPECT_THAT(PlotActiveShares({none}), HasSubstr("ffn.0"));
  EXPECT_THAT(PlotFiringRates({none}), HasSubstr("ffn.0"));
}

TEST(StudySparsity, IsShownAsTableJsonAndPlots) {
  FfnSparsity study = Study(Identity(4), at::tensor({1.0f, 1.0f, -1.0f, -1.0f}).view({1, 4}));
  study.ffn = "a<b&c";
  const std::string table = FormatSparsity({study});
  EXPECT_THAT(table, HasSubstr("above zero"));
  EXPECT_THAT(table, HasSubstr("50.0"));
  const Json json = SparsityToJson({study});
  EXPECT_EQ(json[0]["active"], 0.5);
  EXPECT_EQ(json[0]["active_percentiles"]["95"], 0.5);
  EXPECT_EQ(json[0]["needed"]["90"], 0.5);
  EXPECT_EQ(json[0]["rates"].size(), 4u);
  for (const std::string& svg : {PlotActiveShares({study, study}), PlotFiringRates({study})}) {
    EXPECT_EQ(svg.rfind("<svg xmlns=", 0), 0u);
    EXPECT_THAT(svg, HasSubstr("a&lt;b&amp;c"));
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");
  }
}

}  // namespace
}  // namespace moefy::eval
