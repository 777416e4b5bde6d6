// The whole evaluation on the embedded example, a few rows: what must hold for any model.
#include "eval/evaluate.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::eval {
namespace {

const std::filesystem::path kExample =
    std::filesystem::path(MOEFY_SOURCE_DIR) / "examples" / "quickstart";

TEST(Evaluate, AllExpertsOnEqualsDenseAndFewerCostLess) {
  const tests::TempDir dir;
  tests::SplitInto(kExample / "model", dir / "moe", /*num_experts=*/16);
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir / "moe");
  const io::Checkpoint dense = io::Checkpoint::Open(kExample / "model");
  const task::TaskSpec spec = task::ReadTaskSpec(kExample / "sentiment.json");
  const task::Dataset dataset = task::ReadDataset(spec, "eval", spec.directory, 50);
  EvaluateOptions options;
  options.ffn_ratios = {0.25, 1.0};
  options.selections = route::ParseSelections({"oracle", "random"});
  const EvaluationReport report = Evaluate(dense, {{"moe", &moe}}, spec, "eval", dataset, options);

  ASSERT_EQ(report.rows.size(), 5u);
  const EvaluationRow& base = report.rows[0];
  EXPECT_EQ(base.selection, "dense");
  EXPECT_GT(base.metric().value.value, 0.95);
  for (const EvaluationRow& row : report.rows) {
    EXPECT_DOUBLE_EQ(row.measured_ffn_ratio, row.ffn_ratio);
    EXPECT_EQ(row.tokens, base.tokens);
    if (row.ffn_ratio < 1) continue;
    EXPECT_EQ(row.agreement, 1);
    EXPECT_LT(row.kl.value, 1e-6);
  }
  const EvaluationRow &oracle = report.rows[1], &random = report.rows[3];
  EXPECT_EQ(oracle.ffn_ratio, 0.25);
  EXPECT_LT(oracle.kl.value, random.kl.value);
}

TEST(Evaluate, SelectionsAreCheckedBeforeAnythingRuns) {
  const tests::TempDir dir;
  tests::SplitInto(kExample / "model", dir / "moe", /*num_experts=*/16);
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir / "moe");
  const io::Checkpoint dense = io::Checkpoint::Open(kExample / "model");
  const task::TaskSpec spec = task::ReadTaskSpec(kExample / "sentiment.json");
  const task::Dataset dataset = task::ReadDataset(spec, "eval", spec.directory, 2);
  EvaluateOptions options;
  options.selections = route::ParseSelections({"random", "mlp"});
  tests::ExpectError(ErrorKind::kUsage, {"no routers yet", "route-train"}, [&] {
    Evaluate(dense, {{"moe", &moe}}, spec, "eval", dataset, options);
  });
}

}  // namespace
}  // namespace moefy::eval
