// The whole evaluation on the embedded example, a few rows: what must hold for any model.
#include "eval/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/report.h"
#include "moefy/base/strings.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::eval {
namespace {

struct EvaluateExample : testing::Test {
  EvaluateExample() {
    tests::SplitInto(tests::Quickstart() / "model", dir / "moe", /*num_experts=*/16);
  }

  static EvaluationTask Task(const char* name, int64_t limit) {
    task::TaskSpec spec = task::ReadTaskSpec(tests::Quickstart() / name);
    task::Dataset dataset = task::ReadDataset(spec, "eval", spec.directory, limit);
    return {std::move(spec), "eval", std::move(dataset)};
  }

  const tests::TempDir dir;
  const io::Checkpoint dense = io::Checkpoint::Open(tests::Quickstart() / "model");
  EvaluateOptions options;
};

TEST_F(EvaluateExample, AllExpertsOnEqualsDenseAndFewerCostLess) {
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir / "moe");
  options.ffn_ratios = {0.25, 1.0};
  options.selections = route::ParseSelections({"oracle", "random"});
  const EvaluationReport report =
      Evaluate(dense, {{"moe", &moe}}, {Task("sentiment.json", 50)}, options).at(0);

  ASSERT_EQ(report.rows.size(), 6u);
  const EvaluationRow& base = report.rows[0];
  EXPECT_EQ(base.selection, "dense");
  EXPECT_GT(base.metric().value.value, 0.95);
  for (const EvaluationRow& row : report.rows) {
    EXPECT_DOUBLE_EQ(row.measured_ffn_ratio, row.ffn_ratio);
    EXPECT_EQ(row.ffn_tokens, base.ffn_tokens);
    if (row.ffn_ratio < 1) continue;
    EXPECT_EQ(row.agreement_with_dense, 1);
    EXPECT_LT(row.kl_from_dense.value, 1e-6);
  }
  const EvaluationRow &oracle = report.rows[2], &random = report.rows[4];
  EXPECT_EQ(oracle.ffn_ratio, 0.25);
  EXPECT_LT(oracle.kl_from_dense.value, random.kl_from_dense.value);
}

// Counts how often a model was made.
class CountingProgress final : public Progress {
 public:
  void Section(std::string_view) override {}
  void Begin(std::string_view what, uint64_t, std::string_view) override {
    steps.emplace_back(what);
  }
  void Advance(uint64_t) override {}
  void End(std::string_view) override {}
  std::vector<std::string> steps;
};

// Without what differs from run to run.
std::string WithoutTimes(const EvaluationReport& report) {
  Json json = ReportToJson(report);
  for (Json& row : json["rows"]) {
    row.erase("seconds");
    row.erase("ffn_seconds");
  }
  return json.dump();
}

TEST_F(EvaluateExample, SeveralTasksAreAnsweredByModelsMadeOnce) {
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir / "moe");
  const std::vector<NamedModel> models = {{"one", &moe}, {"two", &moe}};
  const std::vector<EvaluationTask> tasks = {Task("sentiment.json", 30), Task("stories.json", 10)};
  options.ffn_ratios = {0.25, 0.5};
  options.selections = route::ParseSelections({"random"});
  std::vector<std::vector<std::string>> samples(tasks.size());
  options.sample_sink = [&](size_t task_idx, const Json& sample) {
    samples[task_idx].push_back(
        StrCat(sample["task"].get<std::string>(), " ", sample["model"].get<std::string>()));
  };
  CountingProgress progress;
  const std::vector<EvaluationReport> together = Evaluate(dense, models, tasks, options, progress);
  EXPECT_THAT(progress.steps,
              testing::ElementsAre("sentiment: dense", "stories: dense", "packing FFNs",
                                   "sentiment: packed", "stories: packed", "packing experts",
                                   "sentiment: one random at 25 %", "sentiment: one random at 50 %",
                                   "stories: one random at 25 %", "stories: one random at 50 %",
                                   "packing experts", "sentiment: two random at 25 %",
                                   "sentiment: two random at 50 %", "stories: two random at 25 %",
                                   "stories: two random at 50 %"));
  ASSERT_EQ(together.size(), 2u);
  EXPECT_THAT(samples[0], testing::Each(testing::StartsWith("sentiment ")));
  EXPECT_THAT(samples[1], testing::Each(testing::StartsWith("stories ")));
  EXPECT_EQ(samples[0].size(), 6u * 30);
  // A task tells the same whether it is asked alone or with others.
  options.sample_sink = nullptr;
  for (size_t i = 0; i < tasks.size(); ++i) {
    const EvaluationReport alone = Evaluate(dense, models, {tasks[i]}, options).at(0);
    EXPECT_EQ(WithoutTimes(together[i]), WithoutTimes(alone));
  }
}

TEST_F(EvaluateExample, SelectionsAreCheckedBeforeAnythingRuns) {
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir / "moe");
  const std::vector<EvaluationTask> tasks = {Task("sentiment.json", 2)};
  options.selections = route::ParseSelections({"random", "mlp"});
  tests::ExpectError(ErrorKind::kUsage, {"no routers yet", "route-train"}, [&] {
    Evaluate(dense, {{"moe", &moe}}, tasks, options);
  });
}

}  // namespace
}  // namespace moefy::eval
