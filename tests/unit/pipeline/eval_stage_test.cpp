// The stage eval: several tasks at once, gates, samples and refusals, on the embedded example.
#include "moefy/pipeline/eval_stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "moefy/base/strings.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::pipeline {
namespace {

using testing::ElementsAre;
using tests::ExpectError;

struct EvalStage : testing::Test {
  EvalStage() {
    tests::SplitInto(tests::Quickstart() / "model", dir / "moe", /*num_experts=*/16);
    options.models = {(dir / "moe").string()};
    options.tasks = {(tests::Quickstart() / "sentiment.json").string(),
                     (tests::Quickstart() / "stories.json").string()};
    options.selections = {"random"};
    options.ffn_ratios = {0.25, 1.0};
    options.limit = 10;
  }

  std::vector<eval::EvaluationReport> Run(IfExists if_exists = IfExists::kRefuse) const {
    return Eval(options, if_exists, SilentProgress());
  }
  void Refuse(ErrorKind kind, std::initializer_list<std::string_view> fragments) const {
    ExpectError(kind, fragments, [&] { Run(); });
  }
  // Task, model and ratio of every line of the samples.
  std::vector<std::string> SampleRows() const {
    std::vector<std::string> rows;
    for (const std::string& line : moefy::Split(Trim(ReadTextFile(options.samples)), '\n')) {
      const Json sample = ParseJson(line);
      rows.push_back(StrCat(sample["task"].get<std::string>(), "/",
                            sample["model"].get<std::string>(), "/", sample["ffn_ratio"].dump()));
    }
    return rows;
  }

  const tests::TempDir dir;
  EvalOptions options;
};

TEST_F(EvalStage, EveryTaskHasAReportWithDenseFirst) {
  const std::vector<eval::EvaluationReport> reports = Run();
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].task, "sentiment");
  EXPECT_EQ(reports[1].task, "stories");
  for (const eval::EvaluationReport& report : reports) {
    EXPECT_EQ(report.num_examples, 10);
    EXPECT_EQ(report.data_file, report.task + ".eval.tsv");
    ASSERT_EQ(report.rows.size(), 4u);
    EXPECT_EQ(report.rows[0].selection, "dense");
    EXPECT_EQ(report.rows[1].selection, "packed");
    EXPECT_EQ(report.rows[1].agreement_with_dense, 1);
    EXPECT_EQ(report.rows[2].model, "moe");
    EXPECT_EQ(report.rows[2].ffn_ratio, 0.25);
    EXPECT_EQ(report.rows[3].agreement_with_dense, 1);
    EXPECT_TRUE(report.failures.empty());
  }
}

TEST_F(EvalStage, ADenseModelAloneHasARowAndAnotherForNarrowWeights) {
  options.models = {(tests::Quickstart() / "model").string()};
  for (const eval::EvaluationReport& report : Run()) EXPECT_EQ(report.rows.size(), 1u);
  options.weights = "int8";
  for (const eval::EvaluationReport& report : Run()) {
    ASSERT_EQ(report.rows.size(), 2u);
    EXPECT_EQ(report.rows[0].weights, "f32");
    EXPECT_EQ(report.rows[1].selection, "packed");
    EXPECT_EQ(report.rows[1].weights, "int8");
    EXPECT_GT(report.rows[1].kl_from_dense.value, 1e-9);
    EXPECT_GT(report.rows[1].ffn_seconds, 0);
  }
}

TEST_F(EvalStage, TheGateIsAppliedToEveryTask) {
  options.fail_if = "ffn_ratio < 0.5 and metric <= dense";
  for (const eval::EvaluationReport& report : Run()) {
    ASSERT_EQ(report.failures.size(), 1u);
    EXPECT_THAT(report.failures[0], testing::StartsWith(report.task + ": moe + random at 25.0 %"));
  }
}

TEST_F(EvalStage, SamplesOfATaskStandTogether) {
  options.limit = 1;
  options.samples = (dir / "samples.jsonl").string();
  Run();
  EXPECT_THAT(SampleRows(), ElementsAre("sentiment//1.0", "sentiment//1.0", "sentiment/moe/0.25",
                                        "sentiment/moe/1.0", "stories//1.0", "stories//1.0",
                                        "stories/moe/0.25", "stories/moe/1.0"));
  Refuse(ErrorKind::kUsage, {"samples.jsonl", "--force"});
}

TEST_F(EvalStage, SamplesAppearOnlyWhenAllIsDone) {
  options.samples = (dir / "samples.jsonl").string();
  options.selections = {"mlp"};
  Refuse(ErrorKind::kUsage, {"no routers yet"});
  EXPECT_FALSE(std::filesystem::exists(options.samples));
}

TEST_F(EvalStage, WhatMakesNoSenseIsRefusedBeforeModelsAreRead) {
  const EvalOptions good = options;
  const std::string none = (dir / "none").string();
  options.models = {none};
  Refuse(ErrorKind::kInput, {"none"});  // the twin: everything else is right
  options.tasks = {};
  Refuse(ErrorKind::kUsage, {"--task"});
  options.tasks = good.tasks;
  options.ffn_ratios = {};
  Refuse(ErrorKind::kUsage, {"--ffn-ratio is empty"});
  options.ffn_ratios = {1.5};
  Refuse(ErrorKind::kUsage, {"ffn-ratio", "1.5"});
  options.ffn_ratios = good.ffn_ratios;
  options.selections = {"randm"};
  Refuse(ErrorKind::kUsage, {"'randm'", "did you mean 'random'"});
  options.selections = good.selections;
  options.weights = "f8";
  Refuse(ErrorKind::kUsage, {"f8"});
  options.weights = good.weights;
  options.split = "evil";
  Refuse(ErrorKind::kUsage, {"'evil'", "did you mean 'eval'"});
  options.split = good.split;
  options.fail_if = "kl > 0.1";
  Refuse(ErrorKind::kUsage, {"--fail-if", "'sentiment'", "'kl_from_dense'"});
  options.fail_if = "";
  options.models = {};
  Refuse(ErrorKind::kUsage, {"needs a model"});
}

TEST_F(EvalStage, OfSeveralModelsAllAreSplit) {
  options.models.push_back((tests::Quickstart() / "model").string());
  Refuse(ErrorKind::kUsage, {"is not a split checkpoint", "--dense"});
}

}  // namespace
}  // namespace moefy::pipeline
