#include "eval/figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "task/metrics.h"

namespace moefy::eval {
namespace {

TEST(FigureNames, AreThoseThatRowsHave) {
  task::TaskSpec spec;
  spec.kind = task::TaskKind::kGeneration;
  spec.metric = "rouge_l";
  const std::vector<std::string> names = FigureNames(spec);
  EXPECT_THAT(names, testing::Contains("character_error_rate"));
  EXPECT_THAT(names, testing::Not(testing::Contains("kl_from_dense")));  // text has no distribution
  EvaluationRow row;
  for (const std::string& name : task::MetricNames(spec)) row.metrics.push_back({name, {}, {}});
  const Figures figures = FiguresOf(row);
  for (const std::string& name : names) EXPECT_TRUE(figures.contains(name)) << name;
}

}  // namespace
}  // namespace moefy::eval
