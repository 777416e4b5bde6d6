#include "pipeline/tune_stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/check_recipe.h"
#include "pipeline/convert.h"
#include "pipeline/convert_plan.h"
#include "pipeline/convert_work.h"
#include "pipeline/default_recipe.h"
#include "support/expect_error.h"
#include "unit/pipeline/stage_support.h"

namespace moefy::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tests::ExpectError;

class TuneTest : public ::testing::Test {
 protected:
  TuneTest() { dense_ = tests::CopyQuickstart(dir_); }

  // A recipe of the example, with changes laid over it (RFC 7386), for a tuning of N samples.
  Recipe Asked(int64_t samples, const char* changes = "{}") const {
    const std::string task = (tests::Quickstart() / "sentiment.json").string();
    Json json = {{"model", "dense"},
                 {"record", {{"task", {task}}, {"limit", 8}}},
                 {"split", {{{"method", "random"}, {"expert_size", 16}}}},
                 {"route", {{"preset", "fast"}}},
                 {"eval",
                  {{"task", {task}},
                   {"limit", 4},
                   {"ffn_ratio", {0.2, 0.5, 1}},
                   {"selection", {"oracle", "stored:threshold", "stored"}}}}};
    json.merge_patch(Json::parse(changes));
    Recipe recipe = ParseRecipe(json, dir_ / "recipe.json");
    recipe.tune = samples;
    return recipe;
  }

  tests::TempDir dir_;
  std::filesystem::path dense_;
};

TEST_F(TuneTest, AddsTheStageOfARecipe) {
  const CheckedRecipe checked = CheckRecipe(Asked(200));
  ASSERT_TRUE(checked.recipe.calibrate);
  const CalibrateOptions& options = *checked.recipe.calibrate;
  EXPECT_EQ(options.training.task, checked.recipe.record.tasks.front());
  EXPECT_EQ(options.training.split, "train");
  EXPECT_EQ(options.training.limit, 200);
  EXPECT_THAT(options.ffn_ratios, ElementsAre(0.2, 0.5)) << "at 1 there is nothing to tune for";
  EXPECT_EQ(options.selection, "stored:threshold") << "a bound is no router";
  EXPECT_EQ(options.distill.distill, 1);
  EXPECT_EQ(options.training.lora.rank, 0) << "a small model";
  CheckCalibrateOptions(options);

  const std::vector<std::string> stages = PlanConvert(checked, dir_ / "out").stages;
  EXPECT_THAT(stages, ::testing::Contains("calibrate random"));
  EXPECT_THAT(DescribeCalibration(options),
              ::testing::AllOf(HasSubstr("first 200 samples of sentiment's split train"),
                               HasSubstr("0.2, 0.5 under stored:threshold")));
  // The time to expect counts it, and twice as many samples are about twice the work.
  const auto tuning = [&](int64_t samples) {
    for (const StageWork& work : WorkOfStages(CheckRecipe(Asked(samples)))) {
      if (work.stage == "calibrate random") return work.gflop;
    }
    return 0.0;
  };
  EXPECT_GT(tuning(200), 0);
  EXPECT_NEAR(tuning(800) / tuning(400), 2, 0.5);
}

TEST_F(TuneTest, LargeModelsAreTunedByLora) {
  const Recipe recipe = Asked(200);
  const io::Checkpoint model = io::Checkpoint::Open(dense_);
  Inspection inspection = Inspect(model, dense_.string());
  EXPECT_FALSE(TuneStage(recipe, model, inspection, 200).contains("lora_rank"));
  inspection.num_parameters = 2'000'000'000;
  EXPECT_EQ(TuneStage(recipe, model, inspection, 200).at("lora_rank"), 16);
}

TEST_F(TuneTest, TextsAreTunedByWindows) {
  const std::string task = dir_.Write("text.json", R"({"name": "text", "kind": "language_modelling",
      "format": "text", "splits": {"train": {"file": "text.txt"}, "eval": {"file": "text.txt"}},
      "max_tokens": 32, "metric": "perplexity"})");
  std::string text;
  for (int i = 0; i < 400; ++i) text += "the garden the office the kitchen the garden\n";
  dir_.Write("text.txt", text);
  Recipe recipe = Asked(50);
  recipe.record.tasks = recipe.eval.tasks = {task};
  recipe.record.split = "train";
  std::filesystem::copy(tests::Pico("mistral-gqa"), dir_ / "decoder");
  for (const char* file : {"spiece.model", "tokenizer_config.json"}) {
    std::filesystem::copy_file(tests::Quickstart() / "model" / file, dir_ / "decoder" / file,
                               std::filesystem::copy_options::overwrite_existing);
  }
  const io::Checkpoint model = io::Checkpoint::Open(dir_ / "decoder");
  const Inspection inspection = Inspect(model, "pico");
  const Json stage = TuneStage(recipe, model, inspection, 50);
  EXPECT_EQ(stage.at("batch_size"), 4);
  EXPECT_EQ(stage.at("limit"), 50);
  ExpectError(ErrorKind::kUsage, {"--tune is 100000", "text has about", "windows to train on"},
              [&] { TuneStage(recipe, model, inspection, 100000); });
}

TEST_F(TuneTest, RefusesWhatItCannotDo) {
  const auto refuses = [&](int64_t samples, const char* changes,
                           std::initializer_list<std::string_view> parts) {
    ExpectError(ErrorKind::kUsage, parts, [&] { CheckRecipe(Asked(samples, changes)); });
  };
  const std::string task = (tests::Quickstart() / "sentiment.json").string();
  refuses(0, "{}", {"--tune is 0", "at least 20"});
  refuses(2001, "{}", {"--tune is 2001", "'train' of sentiment has 2000 examples"});
  refuses(200, ("{\"calibrate\": {\"task\": \"" + task + "\"}}").c_str(),
          {"adds a calibrate stage", "'recipe'", "leave out one"});
  refuses(200, R"({"record": {"task": null, "text": "corpus.txt"}})", {"records a text"});
  refuses(200, R"({"eval": {"ffn_ratio": [1]}})", {"ratios below 1", "eval.ffn_ratio"});
  EXPECT_NO_THROW(CheckRecipe(Asked(2000)));
  Recipe later = Asked(2001);
  later.data = (dir_ / "nowhere").string();
  EXPECT_NO_THROW(CheckRecipe(std::move(later))) << "the data may come later";
}

}  // namespace
}  // namespace moefy::pipeline
