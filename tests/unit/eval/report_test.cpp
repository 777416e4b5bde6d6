#include "eval/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/table.h"
#include "eval/figures.h"
#include "task/metrics.h"

namespace moefy::eval {
namespace {

TEST(FormatTable, ColumnsAreAsWideAsTheirWidestCell) {
  EXPECT_EQ(FormatTable({"name", "n"}, {{"a", "100"}, {"längst", "7"}}),
            "name      n\n"
            "------  ---\n"
            "a       100\n"
            "längst    7\n");
}

TEST(FormatEvaluation, ShowsBoundsWithoutATime) {
  EvaluationReport report;
  report.task = "sst2";
  report.num_examples = 1000;
  EvaluationRow dense;
  dense.selection = "dense";
  dense.metrics = {{"accuracy", {0.9, 0.01, 1000}, {}}};
  dense.ffn_seconds = 2;
  EvaluationRow mlp = dense;
  mlp.model = "moe";
  mlp.selection = "mlp";
  mlp.ffn_ratio = 0.2;
  mlp.metrics = {{"accuracy", {0.88, 0.01, 1000}, {-0.02, 0.004, 1000}}};
  mlp.kl_from_dense = {0.25, 0.01, 1000};
  mlp.ffn_seconds = 0.5;
  EvaluationRow oracle = mlp;
  oracle.selection = "oracle";
  oracle.is_bound = true;
  report.metrics = {"accuracy"};
  EvaluationRow packed = dense;
  packed.selection = "packed";
  packed.weights = "int8";
  packed.ffn_seconds = 1;
  report.rows = {dense, packed, mlp, oracle};
  const std::string text = FormatEvaluation(report);
  EXPECT_THAT(text, testing::HasSubstr("1,000 examples"));
  EXPECT_THAT(text, testing::HasSubstr("88.00 ± 1.00"));
  EXPECT_THAT(text, testing::HasSubstr("-2.00 [-2.78, -1.22]"));
  // Of the factor of 4, the kernels and the narrow weights give 2, and sparsity the other 2.
  EXPECT_THAT(text, testing::ContainsRegex("dense, int8 .* 2\\.00x *\n"));
  EXPECT_THAT(text, testing::ContainsRegex("moe \\+ mlp .* 4\\.00x +2\\.00x\n"));
  EXPECT_THAT(text, testing::ContainsRegex("moe \\+ oracle .* - +- +-\n"));
}

TEST(Report, OneExampleHasNoError) {
  EvaluationReport report;
  report.num_examples = 1;
  report.metrics = {"accuracy"};
  EvaluationRow dense;
  dense.selection = "dense";
  dense.metrics = {{"accuracy", task::MeanEstimate({1}), task::MeanEstimate({0})}};
  EvaluationRow random = dense;
  random.selection = "random";
  random.is_bound = true;
  report.rows = {dense, random};
  const std::string text = FormatEvaluation(report);
  EXPECT_THAT(text, testing::HasSubstr("100.00 "));
  EXPECT_THAT(text, testing::HasSubstr("+0.00 "));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("±")));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("[")));
  const Json row = ReportToJson(report)["rows"][1];
  EXPECT_EQ(row["accuracy"]["value"], 1);
  EXPECT_TRUE(row["accuracy"]["standard_error"].is_null());
  EXPECT_TRUE(row["difference_to_dense"]["accuracy"]["interval_95"].is_null());
}

// One figure, one name: what --fail-if may compare is in the JSON under the same name.
TEST(Report, JsonHasEveryFigureThatAConditionMayName) {
  EvaluationReport report;
  report.metrics = {"accuracy"};
  EvaluationRow row;
  row.selection = "dense";
  row.metrics = {{"accuracy", task::MeanEstimate({1, 0}), task::MeanEstimate({0, 0})}};
  row.kl_from_dense = {0.25, {}, 2};
  report.rows = {row};
  const Json json = ReportToJson(report)["rows"][0];
  for (const std::string& name : FigureNames(task::TaskSpec())) {
    EXPECT_TRUE(name == "metric" || json.contains(name)) << name;
  }
}

}  // namespace
}  // namespace moefy::eval
