#include "pipeline/recipe.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy::pipeline {
namespace {

constexpr const char* kRecipe = R"({
  "model": "ckpt",
  "record": {"task": ["t.json"], "limit": 7},
  "split": [{"expert_size": 16}, {"name": "control", "method": "random", "experts": 4, "shared": 1}],
  "route": {"epochs": 3},
  "eval": {"task": ["../t.json"], "ffn_ratio": [0.5]}
})";

TEST(Recipe, ReadsEveryStageAndResolvesPathsFromItsOwnDirectory) {
  const tests::TempDir dir;
  const Recipe recipe = ReadRecipe(dir.Write("sub/my.json", kRecipe));
  EXPECT_EQ(recipe.name, "my");
  EXPECT_EQ(recipe.model, (dir / "sub/ckpt").string());
  EXPECT_EQ(recipe.record.tasks, (std::vector<std::string>{(dir / "sub/t.json").string()}));
  EXPECT_EQ(recipe.record.limit, 7);
  ASSERT_EQ(recipe.splits.size(), 2u);
  EXPECT_EQ(recipe.splits[0].name, "kmeans");
  EXPECT_EQ(recipe.splits[0].options.expert_size, 16);
  EXPECT_EQ(recipe.splits[1].name, "control");
  EXPECT_EQ(recipe.splits[1].options.method, "random");
  EXPECT_EQ(recipe.splits[0].options.shared, 0);
  EXPECT_EQ(recipe.splits[1].options.shared, 1);
  ASSERT_EQ(recipe.routes.size(), 1u);
  EXPECT_EQ(recipe.routes[0].name, "");
  EXPECT_EQ(recipe.routes[0].options.epochs, 3);
  EXPECT_EQ(recipe.eval.tasks, (std::vector<std::string>{(dir / "t.json").string()}));
  EXPECT_EQ(recipe.eval.ffn_ratios, (std::vector<double>{0.5}));
}

TEST(Recipe, MayCompareRoutes) {
  const auto read = [](const std::string& routes) {
    const tests::TempDir dir;
    std::string text = kRecipe;
    const size_t at = text.find("\"route\": {\"epochs\": 3}");
    if (at == std::string::npos) throw std::logic_error("the recipe's route");
    text.replace(at, std::string("\"route\": {\"epochs\": 3}").size(), "\"route\": " + routes);
    return ReadRecipe(dir.Write("my.json", text));
  };
  const Recipe recipe = read("[{\"preset\": \"fast\"}, {\"name\": \"short\", \"epochs\": 2}]");
  ASSERT_EQ(recipe.routes.size(), 2u);
  EXPECT_EQ(recipe.routes[0].name, "fast");
  EXPECT_EQ(recipe.routes[1].name, "short");
  EXPECT_EQ(recipe.routes[1].options.epochs, 2);
  tests::ExpectError(ErrorKind::kUsage, {"route is empty"}, [&] { read("[]"); });
  tests::ExpectError(ErrorKind::kUsage, {"route[1]", "'fast'", "no other route"},
                     [&] { read("[{\"preset\": \"fast\"}, {\"name\": \"fast\"}]"); });
}

TEST(Recipe, RoutesMayBeForSomeSplits) {
  const auto read = [](const char* routes) {
    Json json = ParseJsonFile("recipe", kRecipe);
    json["split"] = {{{"preset", "cmoe"}}, {{"preset", "cats"}}, {{"expert_size", 8}}};
    json["route"] = ParseJsonFile("routes", routes);
    return ParseRecipe(json, "r.json");
  };
  const Recipe recipe = read(
      R"([{"preset": "cmoe", "splits": ["cmoe"]}, {"preset": "cats", "splits": ["cats"]},
          {"preset": "fast", "splits": ["cats", "kmeans"]}])");
  const auto serves = [&](size_t route, size_t split) {
    return recipe.routes[route].Serves(recipe.splits[split]);
  };
  EXPECT_EQ(recipe.splits[0].name, "cmoe");
  EXPECT_TRUE(serves(0, 0) && serves(1, 1) && serves(2, 1) && serves(2, 2));
  EXPECT_FALSE(serves(0, 1) || serves(0, 2) || serves(1, 0) || serves(2, 0));
  EXPECT_TRUE(read(R"({"preset": "fast"})").routes[0].Serves(recipe.splits[1]));
  tests::ExpectError(
      ErrorKind::kUsage, {"route", "'cat'", "it has cmoe, cats, kmeans", "'cats'"},
      [&] { read(R"([{"preset": "fast"}, {"preset": "cats", "splits": ["cat"]}])"); });
  tests::ExpectError(ErrorKind::kUsage, {"no route for the split 'kmeans'"},
                     [&] { read(R"([{"preset": "fast", "splits": ["cats", "cmoe"]}])"); });
}

TEST(Recipe, MaySparsifyFirst) {
  const tests::TempDir dir;
  Json json = ParseJsonFile("recipe", kRecipe);
  EXPECT_FALSE(ReadRecipe(dir.Write("my.json", json.dump())).sparsify);
  json["sparsify"] = {{"task", "t.json"}, {"active", 0.2}, {"steps", 9}, {"distill_ffn", 1}};
  const Recipe recipe = ReadRecipe(dir.Write("my.json", json.dump()));
  ASSERT_TRUE(recipe.sparsify);
  EXPECT_EQ(recipe.sparsify->training.task, (dir / "t.json").string());
  EXPECT_EQ(recipe.sparsify->pressure.active, 0.2);
  EXPECT_EQ(recipe.sparsify->training.trainer.steps, 9);
  EXPECT_EQ(recipe.sparsify->distill.distill_ffn, 1);
  json["sparsify"]["checkpoint"] = "x";
  tests::ExpectError(ErrorKind::kUsage, {"sparsify: checkpoint", "may not be set here"},
                     [&] { ReadRecipe(dir.Write("my.json", json.dump())); });
}

TEST(Recipe, MistakesAreNamed) {
  struct Mistake {
    const char* from;
    const char* to;
    std::initializer_list<std::string_view> fragments;
  };
  const Mistake mistakes[] = {
      {"\"route\"", "\"rout\"", {"unknown key 'rout'", "did you mean 'route'"}},
      {"\"epochs\"", "\"epoch\"", {"route", "unknown key 'epoch'", "did you mean 'epochs'"}},
      {"\"limit\": 7", "\"limit\": \"7\"", {"record: limit", "\"7\"", "whole number"}},
      {"\"limit\": 7", "\"out\": \"x\"", {"record: out", "may not be set here"}},
      {"\"control\"", "\"kmeans\"", {"split[1]", "'kmeans'", "no other split"}},
      {"\"control\"", "\"a/b\"", {"split[1]", "'a/b'"}},
      {"\"ffn_ratio\": [0.5]", "\"samples\": \"x\"", {"eval: samples", "may not be set here"}},
      {"\"eval\"", "\"evil\"", {"eval is missing"}},
      {"[{\"expert_size\": 16}, {", "[] , \"x\": [{", {"split is empty"}},
      {"{\n  \"model\"", "{\n \"model\": 1,  \"model\"", {"'model' appears twice"}},
  };
  for (const Mistake& mistake : mistakes) {
    SCOPED_TRACE(mistake.to);
    const tests::TempDir dir;
    std::string text = kRecipe;
    const size_t at = text.find(mistake.from);
    ASSERT_NE(at, std::string::npos);
    text.replace(at, std::string(mistake.from).size(), mistake.to);
    const auto path = dir.Write("r.json", text);
    tests::ExpectError(ErrorKind::kUsage, mistake.fragments, [&] { ReadRecipe(path); });
  }
}

TEST(Recipe, EveryCommittedOneReadsAndItsTasksAreThere) {
  const std::filesystem::path source(MOEFY_SOURCE_DIR);
  int num_recipes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source / "configs" / "recipes")) {
    SCOPED_TRACE(entry.path());
    const Recipe recipe = ReadRecipe(entry.path());
    for (const std::string& task : recipe.record.tasks) EXPECT_TRUE(std::filesystem::exists(task));
    for (const std::string& task : recipe.eval.tasks) EXPECT_TRUE(std::filesystem::exists(task));
    ++num_recipes;
  }
  EXPECT_GE(num_recipes, 15);
}

}  // namespace
}  // namespace moefy::pipeline
