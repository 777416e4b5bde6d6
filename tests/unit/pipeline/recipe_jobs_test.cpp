#include "pipeline/recipe_jobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/recipe.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy::pipeline {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> NamesOf(const std::vector<RecipeJob>& jobs) {
  std::vector<std::string> names;
  for (const RecipeJob& job : jobs) names.push_back(job.name);
  return names;
}

TEST(RecipeJobs, OneWithoutModelsAndMatrix) {
  const Json json = {{"model", "m"}, {"record", Json::object()}};
  const std::vector<RecipeJob> jobs = ExpandRecipe(json, "r.json");
  EXPECT_THAT(NamesOf(jobs), ElementsAre(""));
  EXPECT_EQ(jobs.front().recipe, json);
}

TEST(RecipeJobs, EachModelWithEachCombination) {
  const Json json = ParseJson(R"({
    "models": ["a/t5/", {"name": "big", "model": "b", "data": "d", "eval": {"limit": 3}}],
    "eval": {"task": ["t"], "limit": 9},
    "split": [{"name": "x"}, {"name": "y", "seed": 4}],
    "matrix": {"split.expert_size": [8, 16], "route.preset": ["fast", "a b"]}})");
  const std::vector<RecipeJob> jobs = ExpandRecipe(json, "r.json");
  EXPECT_THAT(NamesOf(jobs), ElementsAre("t5-split.expert_size=8-route.preset=fast",
                                         "t5-split.expert_size=8-route.preset=a_b",
                                         "t5-split.expert_size=16-route.preset=fast",
                                         "t5-split.expert_size=16-route.preset=a_b",
                                         "big-split.expert_size=8-route.preset=fast",
                                         "big-split.expert_size=8-route.preset=a_b",
                                         "big-split.expert_size=16-route.preset=fast",
                                         "big-split.expert_size=16-route.preset=a_b"));
  EXPECT_EQ(jobs[3].recipe, ParseJson(R"({
    "eval": {"task": ["t"], "limit": 9},
    "split": [{"name": "x", "expert_size": 16}, {"name": "y", "seed": 4, "expert_size": 16}],
    "model": "a/t5/", "route": {"preset": "a b"}})"));
  EXPECT_EQ(jobs[4].recipe, ParseJson(R"({
    "eval": {"task": ["t"], "limit": 3},
    "split": [{"name": "x", "expert_size": 8}, {"name": "y", "seed": 4, "expert_size": 8}],
    "model": "b", "data": "d", "route": {"preset": "fast"}})"));
}

TEST(RecipeJobs, MistakesAreNamed) {
  const auto refuse = [](const char* json, std::initializer_list<std::string_view> fragments) {
    SCOPED_TRACE(json);
    tests::ExpectError(ErrorKind::kInput, fragments, [&] { ExpandRecipe(ParseJson(json), "r"); });
  };
  refuse(R"({"models": []})", {"r: models is []", "list"});
  refuse(R"({"models": "m"})", {"r: models is \"m\"", "list"});
  refuse(R"({"models": [3]})", {"models[0]"});
  refuse(R"({"models": [{"name": "x"}]})", {"models[0]", "model"});
  refuse(R"({"models": ["a"], "model": "b"})", {"both model and models"});
  refuse(R"({"models": ["a/m", "b/m"]})", {"two jobs", "'m'", "\"name\""});
  refuse(R"({"models": [{"model": "a", "name": "x/y"}]})", {"models[0]: name", "'x/y'"});
  refuse(R"({"models": [{"model": "a", "name": ".."}]})", {"models[0]: name", "'..'"});
  refuse(R"({"models": [{"model": "a", "matrix": {}}]})", {"models[0]: matrix", "at the top"});
  refuse(R"({"matrix": {}})", {"r: matrix is empty"});
  refuse(R"({"matrix": {"splt.seed": [1]}})", {"'splt.seed'", "did you mean 'split'"});
  refuse(R"({"matrix": {"split": [1]}})", {"'split'", "split.expert_size"});
  refuse(R"({"matrix": {"split.seed": []}})", {"split.seed is []"});
  refuse(R"({"matrix": {"split.seed": 1}})", {"split.seed is 1", "list"});
  refuse(R"({"matrix": {"eval.task": [["a"]]}})", {"eval.task", "[\"a\"]", "numbers, texts"});
  refuse(R"({"matrix": {"split.seed": [1, 1]}})", {"two jobs", "'split.seed=1'"});
}

TEST(RecipeJobs, PatternsOfOnly) {
  EXPECT_TRUE(MatchesPattern("t5-split.seed=1", "t5-*"));
  EXPECT_TRUE(MatchesPattern("t5", "t?"));
  EXPECT_FALSE(MatchesPattern("t5-split.seed=1", "t5"));
}

TEST(RecipeJobs, AreReadAsRecipes) {
  const tests::TempDir dir;
  const std::string stages =
      R"("record": {}, "split": [{}], "eval": {}, "matrix": {"split.seed": [1, 2]}})";
  const auto path = dir.Write("sub/my.json", R"({"$schema": "s", "models": ["../m"], )" + stages);
  const std::vector<Recipe> recipes = ReadRecipes(path);
  ASSERT_EQ(recipes.size(), 2u);
  EXPECT_EQ(CalledName(recipes[1]), "my/m-split.seed=2");
  EXPECT_EQ(recipes[1].model, (dir / "m").string());
  EXPECT_EQ(recipes[1].splits.front().options.seed, 2);
  tests::ExpectError(ErrorKind::kUsage, {"stands for 2 conversions"}, [&] { ReadRecipe(path); });
  const auto wrong = dir.Write("w.json", R"({"models": ["m"], "record": {"limt": 1}, "split": [{}],
                                             "eval": {}})");
  tests::ExpectError(ErrorKind::kUsage, {"w.json, job m", "'limt'"}, [&] { ReadRecipes(wrong); });
}

}  // namespace
}  // namespace moefy::pipeline
