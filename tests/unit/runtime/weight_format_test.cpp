#include "runtime/weight_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "moefy/base/error.h"

namespace moefy::runtime {
namespace {

TEST(WeightFormat, NamesGoBothWays) {
  for (const std::string& name : WeightFormatNames()) {
    EXPECT_EQ(WeightFormatName(ParseWeightFormat(name)), name);
  }
  EXPECT_EQ(BytesPerWeight(ParseWeightFormat("bf16")), 2);
  EXPECT_EQ(BytesPerWeight(ParseWeightFormat("int8")), 1);
}

TEST(WeightFormat, RefusesOthers) {
  try {
    ParseWeightFormat("int3");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(), testing::HasSubstr("unknown weights 'int3' (did you mean 'int8'?)"));
  }
}

}  // namespace
}  // namespace moefy::runtime
