#include "base/options.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace moefy {
namespace {

struct AllKinds {
  std::string method = "kmeans";
  int64_t num_experts = 4;
  double tolerance = 0.5;
  bool is_exact = false;
  std::vector<double> ratios = {0.1};
  std::vector<std::string> names = {"a"};
  std::optional<bool> is_fast;
  std::optional<std::vector<double>> shares;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("method", method, "how");  // JSON does not know what is positional
    v.Field("num-experts", num_experts, "how many");
    v.Field("tolerance", tolerance, "how near");
    v.Field("exact", is_exact, "whether");
    v.Field("ratios", ratios, "which");
    v.Field("names", names, "who");
    v.Field("fast", is_fast, "if said");
    v.Renamed("speedy", "fast");
    v.Field("shares", shares, "if said");
  }
};

TEST(Options, JsonRoundTripKeepsEveryField) {
  const Json json = ParseJson(
      R"({"method":"random","num_experts":-9223372036854775808,"tolerance":-1e308,"exact":true,)"
      R"("ratios":[],"names":["x","y"],"fast":true})");
  AllKinds options;
  ReadOptions(JsonObject(json, "o.json"), options);
  EXPECT_EQ(options.method, "random");
  EXPECT_EQ(options.num_experts, std::numeric_limits<int64_t>::min());
  EXPECT_TRUE(options.ratios.empty());
  EXPECT_EQ(OptionsToJson(options), json);
}

TEST(Options, WhatIsNotNamedKeepsItsDefault) {
  const Json json = ParseJson(R"({"num_experts":8,"exact":null})");
  AllKinds options;
  ReadOptions(JsonObject(json, "o.json"), options);
  EXPECT_EQ(OptionsToJson(options).dump(),
            R"({"method":"kmeans","num_experts":8,"tolerance":0.5,"exact":false,"ratios":[0.1],)"
            R"("names":["a"]})");
}

TEST(Options, OptionalsAreEmptyUnlessGiven) {
  AllKinds options;
  EXPECT_FALSE(OptionsToJson(options).contains("fast"));
  const Json json = ParseJson(R"({"fast":false,"shares":[0.5]})");
  ReadOptions(JsonObject(json, "o.json"), options);
  EXPECT_EQ(options.is_fast, false);
  EXPECT_EQ(options.shares, std::vector<double>({0.5}));
  EXPECT_EQ(OptionsToJson(options)["fast"], false);
}

TEST(Options, AnOldNameGivesTheNewOne) {
  const Json json = ParseJson(R"({"speedy":true})");
  AllKinds options;
  tests::ExpectError(ErrorKind::kInput, {"o.json: speedy is now called 'fast'"},
                     [&] { ReadOptions(JsonObject(json, "o.json"), options); });
}

TEST(Options, UnknownKeysAndWrongTypesAreRefused) {
  const Json unknown = ParseJson(R"({"num-experts":8})");
  const JsonObject object(unknown, "o.json");
  AllKinds options;
  ReadOptions(object, options);
  tests::ExpectError(ErrorKind::kInput, {"unknown key 'num-experts' (did you mean 'num_experts'?)"},
                     [&] { object.RefuseUnknownKeys(); });
  const Json wrong = ParseJson(R"({"num_experts":"8"})");
  tests::ExpectError(ErrorKind::kInput, {"o.json: num_experts is \"8\""},
                     [&] { ReadOptions(JsonObject(wrong, "o.json"), options); });
}

}  // namespace
}  // namespace moefy
