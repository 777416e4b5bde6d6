#include "split/config_key.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/expect_error.h"

namespace moefy::split {
namespace {

class OddFormatting : public ::testing::TestWithParam<std::string> {};

TEST_P(OddFormatting, IsKeptAndComesBackBitForBit) {
  const std::string& config = GetParam();
  const std::string added = AddMoefyKey(config);
  Json expected = ParseJson(config);
  expected["moefy"] = {{"format", 1}};
  EXPECT_EQ(ParseJson(added), expected) << added;
  EXPECT_EQ(ParseJson(added).back(), expected["moefy"]) << "not the last key";
  EXPECT_EQ(RemoveMoefyKey(added), config);
}

INSTANTIATE_TEST_SUITE_P(
    Texts, OddFormatting,
    ::testing::Values("{\n  \"a\": 1,\n  \"b\": {\"c\": [1, 2]}\n}\n",  // as Transformers writes it
                      "{\n  \"a\": 1\n}",                               // no newline at the end
                      "{\r\n\t\"a\": 1\r\n}\r\n", "{\n\t\"a\": {\n\t\t\"b\": 2\n\t}\n}\n",
                      "{\"a\":1,\"b\":\"}\"}", "{\"a\": 1}", "{ \"a\" : 1 }  \n\n", "{}",
                      "{ \n }\n", "  {\"a\": \"{\\\"moefy\\\": {}}\"}", "{\"a\": {}}",
                      "{\"a\":1\n}"));

TEST(AddMoefyKey, LooksLikeTheRest) {
  EXPECT_EQ(AddMoefyKey("{\n  \"a\": 1\n}\n"), "{\n  \"a\": 1,\n  \"moefy\": {\"format\": 1}\n}\n");
  EXPECT_EQ(AddMoefyKey("{\"a\": 1}"), "{\"a\": 1, \"moefy\": {\"format\": 1}}");
}

TEST(AddMoefyKey, RefusesWhatItCannotExtend) {
  tests::ExpectError(ErrorKind::kInput, {"expected an object"}, [] { AddMoefyKey("[1]"); });
  tests::ExpectError(ErrorKind::kInput, {"config.json: not valid"},
                     [] { AddMoefyKey("{\"a\": }"); });
  tests::ExpectError(ErrorKind::kInput, {"has a key 'moefy' already, but there is no moefy.json"},
                     [] { AddMoefyKey("{\"moefy\": {}}"); });
}

TEST(RemoveMoefyKey, RefusesWhatWasEditedSince) {
  for (const std::string config : {"{\"a\": 1}", "{\"moefy\": {\"format\": 1}, \"a\": 1}",
                                   "{\"moefy\": {\"format\":1}}", "}", ""}) {
    tests::ExpectError(ErrorKind::kInput, {"changed after the split"},
                       [&] { RemoveMoefyKey(config); });
  }
}

}  // namespace
}  // namespace moefy::split
