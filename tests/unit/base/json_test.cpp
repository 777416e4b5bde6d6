#include "base/json.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace moefy {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(Json, KeepsTheOrderOfKeys) {
  EXPECT_EQ(ParseJson(R"({"z":1,"a":[{"y":2,"b":{}}],"m":"x"})").dump(),
            R"({"z":1,"a":[{"y":2,"b":{}}],"m":"x"})");
}

TEST(Json, DepthLimitIsTheCallers) {
  EXPECT_NO_THROW(ParseJson("[[1]]", {.max_depth = 2}));
  tests::ExpectError(ErrorKind::kInput, {"deeper than 2"},
                     [] { ParseJson("[[[1]]]", {.max_depth = 2}); });
}

TEST(Json, ReadsAFile) {
  const tests::TempDir dir;
  EXPECT_EQ(ReadJsonFile(dir.Write("a.json", "[1]\n"))[0], 1);
  const std::string bad = dir.Write("b.json", "[1,\n2,]").string();
  tests::ExpectError(ErrorKind::kInput, {bad + ": not valid JSON at line 2, column 3"},
                     [&] { ReadJsonFile(bad); });
  tests::ExpectError(ErrorKind::kInput, {"c.json: no such file"},
                     [&] { ReadJsonFile(dir / "c.json"); });
  tests::ExpectError(ErrorKind::kInput, {"a directory"}, [&] { ReadJsonFile(dir.path()); });
  tests::ExpectError(ErrorKind::kInput, {"a.json", "at most 2 B"},
                     [&] { ReadJsonFile(dir / "a.json", 2); });
}

TEST(Json, FormatsWithIndentAndNewLine) {
  EXPECT_EQ(FormatJson(ParseJson(R"({"a":[1]})")), "{\n  \"a\": [\n    1\n  ]\n}\n");
  // File names need not be UTF-8.
  EXPECT_EQ(FormatJson(Json("\xff")), "\"\xef\xbf\xbd\"\n");
}

class JsonObjectTest : public testing::Test {
 protected:
  Json json_ = ParseJson(R"({
    "int": 7, "negative": -3, "zero": 0, "fraction": 3.7, "whole": 3.0, "big": 18446744073709551615,
    "max": 9223372036854775807, "over": 9223372036854775808, "text": "x", "yes": true,
    "null": null, "ints": [1, -2], "bad_ints": [1, 9223372036854775808], "numbers": [1, 2.5],
    "texts": ["a", "b"], "mixed": ["a", 1], "object": {"inner": 1}, "objects": [{"k": 1}, {}]
  })");
  JsonObject object_{json_, "f.json"};
};

TEST_F(JsonObjectTest, IntegersAreNotSqueezed) {
  EXPECT_EQ(object_.GetInt("int", 0, 10), 7);
  EXPECT_EQ(object_.GetInt("negative", -3, 10), -3);
  EXPECT_EQ(object_.GetInt("max", 0, kMax), kMax);
  for (const char* key : {"fraction", "whole", "big", "over", "text", "yes"}) {
    tests::ExpectError(ErrorKind::kInput, {StrCat("f.json: ", key, " is "), "a whole number"},
                       [&] { object_.GetInt(key, kMin, kMax); });
  }
  tests::ExpectError(ErrorKind::kInput, {"is 7; expected a whole number from 8 to 9"},
                     [&] { object_.GetInt("int", 8, 9); });
  tests::ExpectError(ErrorKind::kInput, {"from 1 to 6"}, [&] { object_.GetInt("int", 1, 6); });
  EXPECT_EQ(object_.GetInts("ints", -5, 5), (std::vector<int64_t>{1, -2}));
  tests::ExpectError(ErrorKind::kInput, {"bad_ints[1] is 9223372036854775808"},
                     [&] { object_.GetInts("bad_ints", kMin, kMax); });
}

TEST_F(JsonObjectTest, NumbersTextsAndTruths) {
  EXPECT_EQ(object_.GetNumber("fraction", 0, 10), 3.7);
  EXPECT_EQ(object_.GetNumber("int", 0, 10), 7);
  tests::ExpectError(ErrorKind::kInput, {"fraction is 3.7"},
                     [&] { object_.GetNumber("fraction", 0, 1); });
  tests::ExpectError(ErrorKind::kInput, {"text is \"x\""},
                     [&] { object_.GetNumber("text", 0, 1); });
  EXPECT_EQ(object_.GetNumbers("numbers"), (std::vector<double>{1, 2.5}));
  tests::ExpectError(ErrorKind::kInput, {"texts[0]"}, [&] { object_.GetNumbers("texts"); });
  EXPECT_TRUE(object_.GetBool("yes"));
  tests::ExpectError(ErrorKind::kInput, {"int is 7; expected true or false"},
                     [&] { object_.GetBool("int"); });
  EXPECT_EQ(object_.GetString("text"), "x");
  tests::ExpectError(ErrorKind::kInput, {"expected a string"}, [&] { object_.GetString("int"); });
  EXPECT_EQ(object_.GetStrings("texts"), (std::vector<std::string>{"a", "b"}));
  tests::ExpectError(ErrorKind::kInput, {"mixed[1] is 1"}, [&] { object_.GetStrings("mixed"); });
  tests::ExpectError(ErrorKind::kInput, {"expected an array"}, [&] { object_.GetStrings("text"); });
}

TEST_F(JsonObjectTest, NullIsAbsent) {
  EXPECT_FALSE(object_.Has("null"));
  EXPECT_FALSE(object_.Has("none"));
  EXPECT_TRUE(object_.Has("int"));
  EXPECT_EQ(object_.GetInt("null", 0, 1, 42), 42);
  EXPECT_EQ(object_.GetNumber("none", 0, 1, 0.5), 0.5);
  EXPECT_EQ(object_.GetString("none", "d"), "d");
  EXPECT_TRUE(object_.GetBool("null", true));
  tests::ExpectError(ErrorKind::kInput, {"f.json: tex is missing", "did you mean 'text'?"},
                     [&] { object_.GetString("tex"); });
  // A default does not excuse a wrong value.
  tests::ExpectError(ErrorKind::kInput, {"text is"}, [&] { object_.GetInt("text", 0, 1, 42); });
}

TEST_F(JsonObjectTest, NestedObjectsAreNamedByPath) {
  EXPECT_EQ(object_.GetObject("object").GetInt("inner", 0, 1), 1);
  tests::ExpectError(ErrorKind::kInput, {"f.json: object: inner is 1"},
                     [&] { object_.GetObject("object").GetString("inner"); });
  const auto objects = object_.GetObjects("objects");
  ASSERT_EQ(objects.size(), 2u);
  tests::ExpectError(ErrorKind::kInput, {"f.json: objects[1]: k is missing"},
                     [&] { objects[1].GetInt("k", 0, 1); });
  tests::ExpectError(ErrorKind::kInput, {"int: expected an object, found 7"},
                     [&] { object_.GetObject("int"); });
}

TEST(JsonObject, RefusesKeysNobodyAskedFor) {
  const Json json = ParseJson(R"({"experts":1,"expert":2,"seed":3})");
  const JsonObject object(json, "r.json");
  object.GetInt("experts", 0, 9);
  object.Has("seeds");
  tests::ExpectError(ErrorKind::kInput,
                     {"r.json: unknown keys 'expert' (did you mean 'experts'?), 'seed'"},
                     [&] { object.RefuseUnknownKeys(); });
  object.Has("expert");
  object.Has("seed");
  EXPECT_NO_THROW(object.RefuseUnknownKeys());
}

}  // namespace
}  // namespace moefy
