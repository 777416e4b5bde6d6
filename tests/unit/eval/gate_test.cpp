#include "eval/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "support/expect_error.h"

namespace moefy::eval {
namespace {

using tests::ExpectError;

const std::vector<std::string> kNames = {"accuracy", "metric", "kl", "ffn_ratio"};
const Figures kRow = {{"accuracy", 0.87}, {"metric", 0.87}, {"kl", 0.5}, {"ffn_ratio", 0.2}};
const Figures kDense = {{"accuracy", 0.9}, {"metric", 0.9}, {"kl", 0}, {"ffn_ratio", 1}};

bool Holds(const std::string& condition) { return Gate(condition, kNames).Holds(kRow, kDense); }

TEST(Gate, ComparesFiguresWithDense) {
  EXPECT_TRUE(Holds("accuracy < 0.98*dense"));  // 0.87 < 0.882
  EXPECT_FALSE(Holds("accuracy < 0.96*dense"));
  EXPECT_TRUE(Holds("accuracy<dense"));
  EXPECT_TRUE(Holds("dense.ffn_ratio == 1"));
  EXPECT_TRUE(Holds("dense - accuracy > 2.9e-2"));
  EXPECT_FALSE(Holds("kl <= 0.4999"));
  EXPECT_TRUE(Holds("kl >= 0.5"));
  EXPECT_TRUE(Holds("metric != dense.metric"));
}

TEST(Gate, BindsAsUsual) {
  EXPECT_TRUE(Holds("1 + 2 * 3 == 7"));
  EXPECT_TRUE(Holds("(1 + 2) * 3 == 9"));
  EXPECT_TRUE(Holds("8 / 4 / 2 == 1"));
  EXPECT_TRUE(Holds("5 - 3 - 1 == 1"));
  EXPECT_TRUE(Holds("-2 * -3 == 6"));
  EXPECT_TRUE(Holds("1 - -1 == 2"));
  // "and" before "or": true or (false and false).
  EXPECT_TRUE(Holds("1 < 2 or 2 < 1 and 2 < 1"));
  EXPECT_FALSE(Holds("(1 < 2 or 2 < 1) and 2 < 1"));
  EXPECT_TRUE(Holds("ffn_ratio >= 0.2 and (accuracy < 0.5 or kl > 0.4)"));
}

TEST(Gate, ABrokenModelDoesNotPass) {
  Figures broken = kRow;
  broken["kl"] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(Gate("kl > 100", kNames).Holds(broken, kDense));
  EXPECT_TRUE(Gate("accuracy < 0 / 0", kNames).Holds(kRow, kDense));
}

TEST(Gate, MistakesHaveAPosition) {
  const auto refuse = [](const char* condition, std::initializer_list<std::string_view> fragments) {
    ExpectError(ErrorKind::kUsage, fragments, [&] { Gate(condition, kNames); });
  };
  refuse("acuracy < 1", {"position 1", "'acuracy'", "did you mean 'accuracy'"});
  refuse("accuracy < dnse", {"position 12", "did you mean 'dense'"});
  refuse("accuracy < dense.k1", {"position 18", "'k1'", "did you mean 'kl'"});
  refuse("accuracy", {"position 9", "expected a comparison"});
  refuse("accuracy <", {"position 11", "the end", "expected a number or a name"});
  refuse("accuracy < 1 kl", {"position 14", "'kl'", "expected an operator"});
  refuse("accuracy < 1 < 2", {"position 14", "expected an operator"});
  refuse("(accuracy < 1", {"position 14", "expected ')'"});
  refuse("accuracy and kl > 1", {"position 10", "comparison on both sides"});
  refuse("kl > 1 or accuracy", {"position 11", "comparison on both sides"});
  refuse("1 + (kl > 1) < 2", {"position 5", "not a comparison"});
  refuse("-(kl > 1) < 2", {"position 2", "not a comparison"});
  refuse("", {"position 1", "the end"});
  refuse("kl > 1e999", {"position 6"});
  refuse("kl > $", {"position 6", "'$'"});
  refuse("kl or 1 > 2", {"position 4"});
  const std::string deep(200, '(');
  refuse(deep.c_str(), {"nested too deeply"});
}

EvaluationRow RowOf(const std::string& model, const std::string& selection, double accuracy) {
  EvaluationRow row;
  row.model = model;
  row.selection = selection;
  row.ffn_ratio = model.empty() ? 1 : 0.2;
  row.metrics = {{"accuracy", {accuracy, 0.01, 100}, {}}};
  return row;
}

TEST(ApplyGate, NamesEveryRowThatFailed) {
  task::TaskSpec spec;
  const std::string condition = "accuracy < 0.98*dense";
  const Gate gate(condition, FigureNames(spec));
  EvaluationReport report;
  report.task = "sst2";
  report.rows = {RowOf("", "dense", 0.9), RowOf("moe", "mlp", 0.89), RowOf("moe", "random", 0.5)};
  ApplyGate(gate, condition, report);
  EXPECT_THAT(report.failures,
              testing::ElementsAre("sst2: moe + random at 20.0 %: accuracy < 0.98*dense (accuracy "
                                   "0.5000, dense 0.9000)"));
}

TEST(ApplyGate, DenseIsLookedAtWhereItIsAlone) {
  task::TaskSpec spec;
  const Gate gate("accuracy < 0.95", FigureNames(spec));
  EvaluationReport report;
  report.rows = {RowOf("", "dense", 0.9)};
  ApplyGate(gate, "accuracy < 0.95", report);
  EXPECT_EQ(report.failures.size(), 1u);
  report.failures.clear();
  report.rows.push_back(RowOf("moe", "mlp", 0.96));
  ApplyGate(gate, "accuracy < 0.95", report);
  EXPECT_TRUE(report.failures.empty());
}

TEST(FigureNames, AreThoseThatRowsHave) {
  task::TaskSpec spec;
  spec.kind = task::TaskKind::kGeneration;
  spec.metric = "rouge_l";
  const std::vector<std::string> names = FigureNames(spec);
  EXPECT_THAT(names, testing::Contains("character_error_rate"));
  EXPECT_THAT(names, testing::Not(testing::Contains("kl")));  // text has no distribution
  EvaluationRow row;
  for (const std::string& name : task::MetricNames(spec)) row.metrics.push_back({name, {}, {}});
  const Figures figures = FiguresOf(row);
  for (const std::string& name : names) EXPECT_TRUE(figures.contains(name)) << name;
}

}  // namespace
}  // namespace moefy::eval
