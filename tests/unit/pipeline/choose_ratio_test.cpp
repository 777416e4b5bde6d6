#include "pipeline/choose_ratio.h"

#include <gmock/gmock.h>

#include "support/expect_error.h"
#include "task/task_spec.h"

namespace moefy::pipeline {
namespace {

eval::EvaluationRow Row(const std::string& model, double ratio, double value, double flops) {
  eval::EvaluationRow row;
  row.model = model;
  row.selection = model.empty() ? eval::kDense : "ridge";
  row.ffn_ratio = ratio;
  row.ffn_flops_ratio_with_router = flops;
  row.metrics = {{"", {value}, {}}};
  return row;
}

eval::EvaluationReport Evaluated(task::TaskKind kind, const std::string& metric,
                                 std::vector<eval::EvaluationRow> rows) {
  eval::EvaluationReport report;
  report.kind = kind;
  report.metrics = {metric};
  report.rows = std::move(rows);
  return report;
}

TEST(ParseMaxLoss, TakesSharesAndPercent) {
  EXPECT_DOUBLE_EQ(ParseMaxLoss("0.5%"), 0.005);
  EXPECT_DOUBLE_EQ(ParseMaxLoss("2 %"), 0.02);
  EXPECT_DOUBLE_EQ(ParseMaxLoss("0.01"), 0.01);
  EXPECT_DOUBLE_EQ(ParseMaxLoss("0"), 0);
  for (const char* text : {"", "%", "half", "5", "-1%", "0.5%%", "nan"}) {
    tests::ExpectError(ErrorKind::kUsage, {"--max-loss is", "0.5% or 0.005"},
                       [&] { ParseMaxLoss(text); });
  }
}

TEST(ChooseRatio, TakesTheLeastWorkThatKeepsEveryTask) {
  using task::TaskKind;
  eval::EvaluationRow bound = Row("moe", 0.01, 0.9, 0.01);
  bound.is_bound = true;
  const std::vector<eval::EvaluationReport> reports = {
      Evaluated(TaskKind::kClassification, "accuracy",
                {Row("", 1, 0.9, 1), bound, Row("moe", 0.1, 0.80, 0.16),
                 Row("moe", 0.2, 0.897, 0.26), Row("moe", 0.5, 0.91, 0.56)}),
      Evaluated(TaskKind::kLanguageModelling, "perplexity",
                {Row("", 1, 10, 1), Row("moe", 0.1, 10.0, 0.16), Row("moe", 0.2, 10.4, 0.26),
                 Row("moe", 0.5, 10.05, 0.56)})};
  const std::vector<RatioChoice> choices = RatioChoices(reports);
  ASSERT_EQ(choices.size(), 3u);
  EXPECT_EQ(choices.front().ffn_ratio, 0.5);
  EXPECT_NEAR(choices.front().loss, 0.005, 1e-9) << "perplexity is worse when it is higher";
  EXPECT_FALSE(ChooseRatio(choices, 0.001));
  EXPECT_EQ(ChooseRatio(choices, 0.01)->ffn_ratio, 0.5);
  const RatioChoice chosen = *ChooseRatio(choices, 0.05);
  EXPECT_EQ(chosen.ffn_ratio, 0.2);
  EXPECT_NEAR(chosen.loss, 0.04, 1e-9);
  EXPECT_EQ(ChoiceToJson(ChoiceFromJson(ChoiceToJson(chosen))), ChoiceToJson(chosen));
}

TEST(ChooseRatio, NeverTakesWhatIsNotANumber) {
  const auto choices = RatioChoices({Evaluated(task::TaskKind::kClassification, "accuracy",
                                               {Row("", 1, 0.9, 1), Row("moe", 0.1, NAN, 0.1)})});
  EXPECT_FALSE(ChooseRatio(choices, 1));
}

}  // namespace
}  // namespace moefy::pipeline
