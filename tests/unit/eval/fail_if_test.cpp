#include "eval/fail_if.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "support/expect_error.h"

namespace moefy::eval {
namespace {

using tests::ExpectError;

const std::vector<std::string> kNames = {"accuracy", "metric", "kl_from_dense", "ffn_ratio"};
const Figures kRow = {
    {"accuracy", 0.87}, {"metric", 0.87}, {"kl_from_dense", 0.5}, {"ffn_ratio", 0.2}};
const Figures kDense = {{"accuracy", 0.9}, {"metric", 0.9}, {"kl_from_dense", 0}, {"ffn_ratio", 1}};

bool Holds(const std::string& condition) { return FailIf(condition, kNames).Holds(kRow, kDense); }

TEST(FailIf, ComparesFiguresWithDense) {
  EXPECT_TRUE(Holds("accuracy < 0.98*dense"));  // 0.87 < 0.882
  EXPECT_FALSE(Holds("accuracy < 0.96*dense"));
  EXPECT_TRUE(Holds("accuracy<dense"));
  EXPECT_TRUE(Holds("dense.ffn_ratio >= 1"));
  EXPECT_TRUE(Holds("dense - accuracy > 2.9e-2"));
  EXPECT_FALSE(Holds("kl_from_dense <= 0.4999"));
  EXPECT_TRUE(Holds("kl_from_dense >= 0.5"));
}

TEST(FailIf, BindsAsUsual) {
  EXPECT_TRUE(Holds("1 + 2 * 3 >= 7"));
  EXPECT_FALSE(Holds("1 + 2 * 3 > 7"));
  EXPECT_FALSE(Holds("5 - 3 - 1 > 1"));
  EXPECT_TRUE(Holds("-2 * -3 >= 6"));
  EXPECT_TRUE(Holds("0.5*2*accuracy>0.86"));
  // "and" before "or": true or (false and false).
  EXPECT_TRUE(Holds("1 < 2 or 2 < 1 and 2 < 1"));
  EXPECT_FALSE(Holds("2 < 1 and 1 < 2 or 2 < 1"));
  EXPECT_TRUE(Holds("ffn_ratio >= 0.2 and accuracy < 0.5 or kl_from_dense > 0.4"));
}

TEST(FailIf, ABrokenModelDoesNotPass) {
  Figures broken = kRow;
  broken["kl_from_dense"] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(FailIf("kl_from_dense > 100", kNames).Holds(broken, kDense));
  EXPECT_TRUE(FailIf("0.5 + kl_from_dense*0 < 0", kNames).Holds(broken, kDense));
}

TEST(FailIf, MistakesHaveAPosition) {
  const auto refuse = [](const char* condition, std::initializer_list<std::string_view> fragments) {
    ExpectError(ErrorKind::kUsage, fragments, [&] { FailIf(condition, kNames); });
  };
  refuse("acuracy < 1", {"position 1", "'acuracy'", "did you mean 'accuracy'"});
  refuse("accuracy < dnse", {"position 12", "did you mean 'dense'"});
  refuse("accuracy < dense.acuracy", {"position 18", "'acuracy'", "did you mean 'accuracy'"});
  refuse("accuracy", {"position 9", "expected a comparison"});
  refuse("accuracy <", {"position 11", "the end", "expected a number or a name"});
  refuse("accuracy < 1 metric", {"position 14", "'metric'", "expected an operator"});
  refuse("accuracy < 1 < 2", {"position 14", "expected an operator"});
  refuse("accuracy and metric > 1", {"position 10", "expected a comparison"});
  refuse("metric > 1 or accuracy", {"position 23", "expected a comparison"});
  refuse("", {"position 1", "the end"});
  refuse("metric > 1e999", {"position 10"});
  refuse("metric > $", {"position 10", "'$'"});
  refuse("metric or 1 > 2", {"position 8"});
}

// Conditions are comparisons joined by "and" and "or", and no more.
TEST(FailIf, WhatNobodyNeedsIsRefused) {
  const auto refuse = [](const char* condition, std::initializer_list<std::string_view> fragments) {
    ExpectError(ErrorKind::kUsage, fragments, [&] { FailIf(condition, kNames); });
  };
  refuse("(accuracy < 1)", {"position 1", "'(accuracy < 1)'", "expected a number or a name"});
  refuse("accuracy / 2 < 1", {"position 10", "'/ 2 < 1'"});
  refuse("accuracy == 1", {"position 10", "'== 1'", "expected a comparison"});
  refuse("accuracy != 1", {"position 10"});
  refuse("-accuracy < 1", {"position 1"});
}

TEST(FailIf, NamesOfThePastTellTheirNewOnes) {
  const auto refuse = [](const char* condition, const char* now) {
    ExpectError(ErrorKind::kUsage, {"is now called", now},
                [&] { FailIf(condition, FigureNames(task::TaskSpec())); });
  };
  refuse("kl > 0.1", "'kl_from_dense'");
  refuse("accuracy < 1 and agreement < 0.9", "'agreement_with_dense'");
  refuse("dense.ffn_flops_ratio < 1", "'ffn_flops_ratio_with_router'");
}

EvaluationRow RowOf(const std::string& model, const std::string& selection, double accuracy) {
  EvaluationRow row;
  row.model = model;
  row.selection = selection;
  row.ffn_ratio = model.empty() ? 1 : 0.2;
  row.metrics = {{"accuracy", {accuracy, 0.01, 100}, {}}};
  return row;
}

TEST(ApplyFailIf, NamesEveryRowThatFailed) {
  task::TaskSpec spec;
  const std::string condition = "accuracy < 0.98*dense";
  const FailIf fail_if(condition, FigureNames(spec));
  EvaluationReport report;
  report.task = "sst2";
  report.rows = {RowOf("", "dense", 0.9), RowOf("moe", "mlp", 0.89), RowOf("moe", "random", 0.5)};
  ApplyFailIf(fail_if, condition, report);
  EXPECT_THAT(report.failures,
              testing::ElementsAre("sst2: moe + random at 20.0 %: accuracy < 0.98*dense (accuracy "
                                   "0.5000, dense 0.9000)"));
}

TEST(ApplyFailIf, DenseIsLookedAtWhereItIsAlone) {
  task::TaskSpec spec;
  const FailIf fail_if("accuracy < 0.95", FigureNames(spec));
  EvaluationReport report;
  report.rows = {RowOf("", "dense", 0.9)};
  ApplyFailIf(fail_if, "accuracy < 0.95", report);
  EXPECT_EQ(report.failures.size(), 1u);
  report.failures.clear();
  report.rows.push_back(RowOf("", "packed", 0.8));  // it was asked for by --weights
  ApplyFailIf(fail_if, "accuracy < 0.95", report);
  ASSERT_EQ(report.failures.size(), 1u);
  EXPECT_THAT(report.failures[0], testing::HasSubstr("packed at 100.0 %"));
  report.failures.clear();
  report.rows.push_back(RowOf("moe", "mlp", 0.96));
  ApplyFailIf(fail_if, "accuracy < 0.95", report);
  EXPECT_TRUE(report.failures.empty());
}

}  // namespace
}  // namespace moefy::eval
