#include "bench/end_to_end.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "moefy/base/error.h"

namespace moefy::bench {
namespace {

EndToEndOptions SmallEndToEnd() {
  EndToEndOptions options;
  options.shape = "t5-small";
  options.layers = 1;
  options.batch = 2;
  options.tokens = 16;
  options.decoded_tokens = 2;
  options.repetitions = 2;
  options.ffn_ratios = {0.25, 0.5};
  options.threads = {1};
  options.weights = {runtime::WeightFormat::kF32, runtime::WeightFormat::kInt8};
  return options;
}

// One run for all tests: most of it is random numbers for the vocabulary.
const EndToEndResult& SmallResult() {
  static const EndToEndResult result = RunEndToEnd(SmallEndToEnd());
  return result;
}

TEST(EndToEnd, RowsAreTheProductOfItsLists) {
  const EndToEndResult& result = SmallResult();
  ASSERT_EQ(result.rows.size(), 8u);
  EXPECT_EQ(result.rows[0].what, "encoder 2 x 16");
  EXPECT_EQ(result.rows[1].what, "decoder, 1 token");
  EXPECT_EQ(result.rows[1].ffn_ratio, 0.25);
  EXPECT_EQ(result.rows[3].ffn_ratio, 0.5);
  EXPECT_EQ(result.rows[3].expert_bytes, 2 * result.rows[1].expert_bytes);
  EXPECT_EQ(result.rows[3].weights, runtime::WeightFormat::kF32);
  EXPECT_EQ(result.rows[4].weights, runtime::WeightFormat::kInt8);
  EXPECT_EQ(result.rows[4].threads, 1);
  EXPECT_GT(result.bandwidth_gigabytes, 0);
  EXPECT_GT(result.peak_gflops, 0);
  for (const EndToEndRow& row : result.rows) {
    EXPECT_GT(row.sparse_ms.median, 0) << row.what;
    EXPECT_GT(row.sparse_ms.median, row.ffn_ms.median) << row.what;
    EXPECT_DOUBLE_EQ(
        row.roofline_ms,
        std::max(row.bytes / result.bandwidth_gigabytes, row.flops / result.peak_gflops) / 1e6);
  }
}

// t5-small: hidden 512, 8 heads of 64, 2,048 neurons in 64 experts, vocabulary 32,128.
TEST(EndToEnd, WorkIsThatOfTheShape) {
  const EndToEndResult& result = SmallResult();
  constexpr double kMaps = 512.0 * 512, kChosen = 16, kExpert = 2 * 32 * 512;
  constexpr double kRouter = 64.0 * 512 + 64.0 * 64;
  const EndToEndRow& decoder = result.rows[1];
  EXPECT_DOUBLE_EQ(decoder.expert_bytes, kChosen * kExpert * 4);
  // The encoder's 16 tokens, and 2 and 3 of the decoder's own.
  constexpr double kKeys = 16 + 2.5;
  EXPECT_DOUBLE_EQ(decoder.bytes,
                   4 * (6 * kMaps + 512.0 * 32128 + kChosen * kExpert + 2 * 512 * kKeys));
  EXPECT_DOUBLE_EQ(decoder.flops,
                   2 * (6 * kMaps + 512.0 * 32128 + kChosen * kExpert + kRouter) + 4 * 512 * kKeys);
  const EndToEndRow& encoder = result.rows[0];
  EXPECT_DOUBLE_EQ(encoder.flops,
                   32 * (2 * (4 * kMaps + kChosen * kExpert + kRouter) + 4 * 512.0 * 16));
}

TEST(EndToEnd, AllExpertsOnIsTheDenseModel) {
  const EndToEndResult& result = SmallResult();
  EXPECT_LT(result.rows[0].logits_error, 1e-5);
  EXPECT_GT(result.rows[4].logits_error, 1e-5);
  EXPECT_LT(result.rows[4].logits_error, 0.05);
  EXPECT_LT(result.rows[4].weight_bytes, result.rows[0].weight_bytes);
}

TEST(EndToEnd, UnknownShapeNamesTheNearest) {
  EndToEndOptions options = SmallEndToEnd();
  options.shape = "t5-smal";
  try {
    RunEndToEnd(options);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(), testing::HasSubstr("did you mean 't5-small'"));
  }
}

}  // namespace
}  // namespace moefy::bench
