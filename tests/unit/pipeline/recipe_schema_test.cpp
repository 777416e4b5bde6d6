#include "pipeline/recipe_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/recipe.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy::pipeline {
namespace {

TEST(RecipeSchema, CommittedOneIsFresh) {
  EXPECT_EQ(ReadJsonFile(std::filesystem::path(MOEFY_SOURCE_DIR) / "configs/schema/recipe.json"),
            RecipeSchema())
      << "run: moefy --recipe-schema > configs/schema/recipe.json";
}

// Some value of a property's type.
Json ValueOf(const Json& property) {
  if (property.contains("default")) return property.at("default");
  const std::string type = property.at("type");
  if (type == "boolean") return true;
  if (type == "string") return "x";
  if (type == "array") return Json::array();
  return property.contains("maximum") ? property.at("maximum") : Json(1);
}

Json Minimal() { return ParseJson(R"({"record": {}, "split": [{}], "eval": {}})"); }

Json With(Json recipe, const std::string& stage, const std::string& key, const Json& value) {
  if (stage == "split") {
    recipe[stage][0][key] = value;
  } else {
    recipe[stage][key] = value;
  }
  return recipe;
}

// The reader knows every key of the schema, and the schema every key that the reader knows: that
// it leaves out what the reader refuses, and has what the commands declare.
TEST(RecipeSchema, HasTheKeysThatTheReaderKnows) {
  const Json schema = RecipeSchema();
  for (const auto& [stage, definition] : schema.at("$defs").items()) {
    for (const auto& [key, property] : definition.at("properties").items()) {
      SCOPED_TRACE(stage + "." + key);
      EXPECT_NO_THROW(ParseRecipe(With(Minimal(), stage, key, ValueOf(property)), "r"));
    }
    for (const std::string& own : SetByRecipe(stage)) {
      SCOPED_TRACE(stage + "." + own);
      EXPECT_FALSE(definition.at("properties").contains(own));
      tests::ExpectError(ErrorKind::kUsage, {own, "may not be set here"},
                         [&] { ParseRecipe(With(Minimal(), stage, own, "x"), "r"); });
    }
  }
  std::vector<std::string> known = kRecipeKeys;     // the reader knows no others
  known.insert(known.end(), {"matrix", "models"});  // pipeline/recipe_jobs.h
  EXPECT_THAT(JsonObject(schema.at("properties"), "").Keys(),
              ::testing::UnorderedElementsAreArray(known));
  EXPECT_NO_THROW(ParseRecipe(ParseJson(R"({"$schema": "s", "model": "m", "data": "d",
      "sparsify": {}, "record": {}, "split": [{}], "route": {}, "calibrate": {}, "eval": {},
      "max_loss": 0.1})"),
                              "r"))
      << "each of them";
}

}  // namespace
}  // namespace moefy::pipeline
