#include "base/non_finite.h"

#include <gtest/gtest.h>

#include <limits>

namespace moefy {
namespace {

TEST(NonFinite, IsFoundByItsPathAndWrittenAsNull) {
  const double infinity = std::numeric_limits<double>::infinity();
  const Json json = {{"rows", {{{"ppl", infinity}, {"n", 3}}, {{"ppl", 2.5}}}},
                     {"kl", std::numeric_limits<double>::quiet_NaN()}};
  EXPECT_EQ(NonFinitePaths(json), (std::vector<std::string>{"rows[0].ppl", "kl"}));
  const Json read = ParseJson(FormatJson(json));
  EXPECT_TRUE(read["rows"][0]["ppl"].is_null());
  EXPECT_TRUE(read["kl"].is_null());
  EXPECT_EQ(read["rows"][1]["ppl"], 2.5);
  EXPECT_TRUE(NonFinitePaths({{"n", 1}, {"x", 0.5}, {"s", "nan"}}).empty());
}

}  // namespace
}  // namespace moefy
