#include "pipeline/convert.h"

#include "moefy/pipeline/verify_stage.h"
#include "pipeline/convert_plan.h"
#include "pipeline/convert_work.h"
#include "pipeline/default_recipe.h"
#include "pipeline/report_stage.h"
#include "record/activation_dump.h"
#include "split/moe_checkpoint.h"
#include "support/expect_error.h"
#include "unit/pipeline/stage_support.h"

namespace moefy::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tests::ExpectError;

class ConvertTest : public ::testing::Test {
 protected:
  ConvertTest() { dense_ = tests::CopyQuickstart(dir_); }

  // `first` is a stage before the others, as `"name": {...},`.
  CheckedRecipe Checked(const std::string& split = R"({"method": "random", "expert_size": 16})",
                        const std::string& first = "") {
    const std::string task = (tests::Quickstart() / "sentiment.json").string();
    const std::string text = R"({"model": "dense",)" + first + R"(
        "record": {"task": [")" +
                             task + R"("], "limit": 8},
        "split": [)" + split +
                             R"(], "route": {"preset": "fast"},
        "eval": {"task": [")" +
                             task + R"("], "limit": 4, "ffn_ratio": [0.5]}})";
    return CheckRecipe(ReadRecipe(dir_.Write("recipe.json", text)));
  }
  ConvertResult Run(const CheckedRecipe& checked, Progress& progress = SilentProgress()) const {
    return Convert(checked, dir_ / "out", /*redo=*/false, progress);
  }
  static std::vector<std::string> Redone(const ConvertResult& result) {
    std::vector<std::string> names;
    for (const ConvertStage& stage : result.stages) {
      if (!stage.kept) names.push_back(stage.name);
    }
    return names;
  }

  tests::TempDir dir_;
  std::filesystem::path dense_;
};

TEST_F(ConvertTest, RunsEveryStageOnceAndKeepsIt) {
  tests::AddLargeFile(dense_);
  tests::StepCounter progress;
  const ConvertResult result = Run(Checked(), progress);
  EXPECT_THAT(Redone(result),
              ElementsAre("inspect", "record", "split random", "route-train random", "eval"));
  EXPECT_FALSE(progress.Has("fingerprint")) << "the model was hashed before the first stage";
  EXPECT_THAT(result.warnings, ::testing::Contains(HasSubstr(tests::kLargeFileWarning)).Times(1));
  EXPECT_TRUE(Verify({dense_.string(), (dir_ / "out/split-random").string()}, SilentProgress()).ok);
  EXPECT_EQ(record::ActivationDump::Open(dir_ / "out/dump").info().model_fingerprint,
            split::MoeCheckpoint::Open(dir_ / "out/moe-random").source_fingerprint());
  EXPECT_EQ(result.moe, dir_ / "out/moe-random");
  ASSERT_EQ(result.reports.size(), 1u);

  EXPECT_THAT(Redone(Run(Checked())), ElementsAre());
  std::filesystem::remove_all(dir_ / "out/split-random");
  EXPECT_THAT(Redone(Run(Checked())), ElementsAre("split random"));
  EXPECT_THAT(Redone(Run(Checked(R"({"method": "random", "expert_size": 32})"))),
              ElementsAre("split random", "route-train random", "eval"));
}

TEST_F(ConvertTest, KeepsStagesByContentAndNotByPath) {
  dir_.Write("dense/empty.txt", "");
  Run(Checked());
  std::filesystem::rename(dir_ / "out", dir_ / "elsewhere");
  std::filesystem::rename(dense_, dir_ / "renamed");
  const auto again = [&](const char* out, const auto& change) {
    std::filesystem::rename(dir_ / "renamed", dense_);
    CheckedRecipe checked = Checked();
    std::filesystem::rename(dense_, dir_ / "renamed");
    checked.recipe.model = (dir_ / "renamed/../renamed/").string();
    change(checked.recipe);
    return Redone(
        Convert(CheckRecipe(checked.recipe), dir_ / out, /*redo=*/false, SilentProgress()));
  };
  const auto as_before = [](const Recipe&) {};
  EXPECT_THAT(again("elsewhere", as_before), ElementsAre());
  EXPECT_THAT(again("elsewhere/../elsewhere/", as_before), ElementsAre());
  // Each content and option that a stage depends on makes it anew, with what depends on it.
  dir_.Write("renamed/notes.txt", "goes into the split");
  EXPECT_THAT(again("elsewhere", as_before),
              ElementsAre("inspect", "record", "split random", "route-train random", "eval"));
  EXPECT_THAT(again("elsewhere", as_before), ElementsAre());
  EXPECT_THAT(again("elsewhere", [](Recipe& recipe) { recipe.eval.limit = 3; }),
              ElementsAre("eval"));
  EXPECT_THAT(again("elsewhere", [](Recipe& recipe) { recipe.splits.front().name = "other"; }),
              ElementsAre("split other", "route-train other", "eval"));
}

TEST_F(ConvertTest, ConvertsWhatWasMadeSparse) {
  const std::string split = R"({"method": "random", "expert_size": 16})";
  const std::string sparsify = R"("sparsify": {"task": ")" +
                               (tests::Quickstart() / "sentiment.json").string() +
                               R"(", "limit": 40, "steps": 2, "active": 0.01},)";
  const CheckedRecipe checked = Checked(split, sparsify);
  EXPECT_THAT(
      PlanConvert(checked, dir_ / "out").stages,
      ElementsAre("inspect", "sparsify", "record", "split random", "route-train random", "eval"));
  const ConvertResult result = Run(checked);
  EXPECT_THAT(Redone(result), ElementsAre("inspect", "sparsify", "record", "split random",
                                          "route-train random", "eval"));
  EXPECT_THAT(result.warnings, ::testing::Contains(HasSubstr("1.00 % were asked for")));
  const io::Checkpoint sparse = io::Checkpoint::Open(dir_ / "out/sparse");
  EXPECT_EQ(split::MoeCheckpoint::Open(dir_ / "out/moe-random").source_fingerprint(),
            sparse.Fingerprint());
  EXPECT_NE(sparse.Fingerprint(), io::Checkpoint::Open(dense_).Fingerprint());
  EXPECT_THAT(Redone(Run(Checked(split, sparsify))), ElementsAre());
  EXPECT_THAT(Redone(Run(Checked())),
              ElementsAre("record", "split random", "route-train random", "eval"));
}

// An interrupted training of an earlier recipe is not in the way, and nothing that depends on it is
// taken for the result meanwhile.
TEST_F(ConvertTest, GoesOnWithAnotherRecipe) {
  const std::string split = R"({"method": "random", "expert_size": 16})";
  const auto checked = [&](const std::string& active) {
    return Checked(split, R"("sparsify": {"task": ")" +
                              (tests::Quickstart() / "sentiment.json").string() +
                              R"(", "limit": 40, "steps": 2, "active": )" + active + "},");
  };
  Run(Checked(split));
  tests::StepCounter progress("steps 1 to");
  ExpectError(ErrorKind::kInterrupted, {"sparsify"}, [&] { Run(checked("0.1"), progress); });
  ExpectError(ErrorKind::kInput, {"not finished", "goes on"}, [&] {
    Report({(dir_ / "out").string(), ""}, IfExists::kRefuse);
  });
  EXPECT_TRUE(std::filesystem::exists(dir_ / "out/sparse.training"));
  EXPECT_THAT(Redone(Run(checked("0.2"))), ::testing::Contains("sparsify"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "out/sparse.training"));
  const ReportResult page = Report({(dir_ / "out").string(), ""}, IfExists::kRefuse);
  EXPECT_THAT(dir_.Read("out/report.html"), HasSubstr("was made sparse"));
}

TEST_F(ConvertTest, PlansWithoutWritingAnything) {
  const ConvertPlan plan = PlanConvert(Checked(), dir_ / "out");
  EXPECT_THAT(plan.stages,
              ElementsAre("inspect", "record", "split random", "route-train random", "eval"));
  EXPECT_GT(plan.peak_memory_bytes, plan.model.num_bytes);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "out"));
}

TEST_F(ConvertTest, CountsTheWork) {
  CheckedRecipe checked = Checked();
  const auto work = [&](const std::string& stage) {
    for (const StageWork& one : WorkOfStages(checked)) {
      if (one.stage == stage) return one.gflop;
    }
    ADD_FAILURE() << "no stage " << stage;
    return 0.0;
  };
  std::vector<std::string> stages = {"inspect"};
  for (const StageWork& one : WorkOfStages(checked)) stages.push_back(one.stage);
  EXPECT_EQ(stages, PlanConvert(checked, dir_ / "out").stages);
  EXPECT_EQ(work("split random"), 0);
  // Examples are much alike: twice as many are about twice the work.
  const double recorded = work("record"), evaluated = work("eval");
  EXPECT_GT(recorded, 0);
  checked.recipe.record.limit *= 2;
  EXPECT_NEAR(work("record") / recorded, 2, 0.3);
  EXPECT_GT(work("route-train random"), 0);
  checked.recipe.eval.limit *= 2;
  EXPECT_NEAR(work("eval") / evaluated, 2, 0.3);
  const double once = work("eval");
  checked.recipe.eval.ffn_ratios = {0.5, 0.5};
  EXPECT_GT(work("eval"), once);
  // The cap on the dump's tokens is one on the work.
  checked.recipe.record.max_tokens = 10;
  EXPECT_LT(work("record"), recorded / 4);

  const std::vector<StageWork> two = {{"record", 30, 1}, {"eval", 10, 0}};
  const TimeRange time = EstimateTime(two, 20);
  EXPECT_DOUBLE_EQ(time.seconds, 3);
  EXPECT_LT(time.least, time.seconds);
  EXPECT_GT(time.most, time.seconds);

  checked.recipe.data = (dir_ / "nowhere").string();
  ExpectError(ErrorKind::kInput, {"nowhere"}, [&] { WorkOfStages(checked); });
}

TEST_F(ConvertTest, ChoosesWithoutARecipe) {
  const std::string task = (tests::Quickstart() / "sentiment.json").string();
  const DefaultRecipe made =
      MakeDefaultRecipe(dense_.string(), io::Checkpoint::Open(dense_), {task}, "");
  EXPECT_THAT(made.why, HasSubstr("an FFN with relu"));
  Recipe recipe = ParseRecipe(made.json, "recipe.json");
  EXPECT_EQ(recipe.splits.front().options.expert_size, 8);
  EXPECT_EQ(recipe.record.tasks, std::vector<std::string>{task});
  recipe.record.limit = recipe.eval.limit = 8;
  recipe.max_loss = 0;
  CheckedRecipe checked = CheckRecipe(std::move(recipe));
  checked.made = made.json;
  const ConvertResult result = Run(checked);
  EXPECT_THAT(Redone(result), ElementsAre("inspect", "record", "split kmeans", "route-train kmeans",
                                          "choose a ratio", "eval"));
  EXPECT_THAT(result.tried, ::testing::SizeIs(5)) << "bounds are not tried";
  ASSERT_TRUE(result.choice) << "all experts lose nothing";
  EXPECT_EQ(result.choice->model, "moe-kmeans");

  const ReportResult page = Report({(dir_ / "out").string(), ""}, IfExists::kRefuse);
  EXPECT_EQ(page.page, dir_ / "out/report.html");
  EXPECT_THAT(page.findings,
              ElementsAre(HasSubstr("Chosen for a loss of at most 0.00 %"),
                          HasSubstr("moe-kmeans, ridge"), HasSubstr("routing loses")));
  const std::string html = dir_.Read("out/report.html");
  EXPECT_EQ(
      Report({(dir_ / "out").string(), (dir_ / "page.html").string()}, IfExists::kRefuse).page,
      dir_ / "page.html");
  Report({(dir_ / "out").string(), (dir_ / "page.html").string()}, IfExists::kReplace);
  for (const char* text : {"<title>Conversion of dense</title>", "Task sentiment", "oracle-output",
                           "Routers of moe-kmeans", "encoder.ffn.0", "split kmeans: "}) {
    EXPECT_THAT(html, HasSubstr(text));
  }
  EXPECT_THAT(html, ::testing::Not(HasSubstr("href"))) << "the page needs nothing but itself";
  ExpectError(ErrorKind::kInput, {"no finished conversion", "moefy convert"}, [&] {
    Report({dense_.string(), ""}, IfExists::kRefuse);
  });

  const io::Checkpoint gated = io::Checkpoint::Open(tests::Pico("mistral-gqa"));
  const DefaultRecipe other = MakeDefaultRecipe("g", gated, {task}, "");
  EXPECT_THAT(other.why, HasSubstr("a gated FFN with silu"));
  EXPECT_EQ(ParseRecipe(other.json, "recipe.json").routes.front().options.preset, "first-product");
  ExpectError(ErrorKind::kUsage, {"needs --task"}, [&] { MakeDefaultRecipe("g", gated, {}, ""); });
  const std::string letters = (tests::TestData() / "tasks" / "letters.json").string();
  ExpectError(ErrorKind::kUsage, {"'letters'", "'train'", "eval"},
              [&] { MakeDefaultRecipe("g", gated, {letters}, ""); });
}

TEST_F(ConvertTest, RefusesWhatItDidNotMakeAndModelsThatAreSplit) {
  dir_.Write("out/notes.txt", "mine");
  ExpectError(ErrorKind::kUsage, {"is not the output of a conversion"}, [&] { Run(Checked()); });
  EXPECT_EQ(dir_.Read("out/notes.txt"), "mine");
  ExpectError(ErrorKind::kUsage, {"split random", "expert size 17 does not divide"},
              [&] { Checked(R"({"method": "random", "expert_size": 17})"); });
  std::filesystem::rename(dense_, dir_ / "before");
  tests::SplitInto(dir_ / "before", dense_, 8);
  ExpectError(ErrorKind::kUsage, {"is split already", "moefy merge"}, [&] { Checked(); });
}

TEST_F(ConvertTest, AStageThatFailsLeavesNothingOfItself) {
  tests::StepCounter progress("splitting by");
  ExpectError(ErrorKind::kInterrupted, {"split random"}, [&] { Run(Checked(), progress); });
  EXPECT_TRUE(std::filesystem::exists(dir_ / "out/dump"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "out/split-random"));
  EXPECT_THAT(Redone(Run(Checked())), ElementsAre("split random", "route-train random", "eval"));
}

}  // namespace
}  // namespace moefy::pipeline
