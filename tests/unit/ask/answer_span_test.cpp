#include "ask/answer_span.h"

#include <gtest/gtest.h>

namespace moefy::ask {
namespace {

// [CLS] where ? [SEP] it is in Rome . [SEP], the context "it is in Rome."
const ContextTokens kContext = {4, {{0, 2}, {3, 5}, {6, 8}, {9, 13}, {13, 14}}};

TEST(BestSpan, TakesTheBestPairInsideTheContext) {
  at::Tensor start = at::zeros({10}), end = at::zeros({10});
  start[1] = 50;  // the question may not answer itself
  end[9] = 50;
  start[6] = 3;
  end[7] = 4;
  const Span span = BestSpan(start, end, kContext);
  EXPECT_EQ(span.begin, 6u);
  EXPECT_EQ(span.end, 13u);
  const double start_share = std::exp(3.0) / (std::exp(3.0) + 4);
  const double end_share = std::exp(4.0) / (std::exp(4.0) + 4);
  EXPECT_NEAR(span.share, start_share * end_share, 1e-6);
}

TEST(BestSpan, NeverEndsBeforeItStartsNorRunsOn) {
  at::Tensor start = at::zeros({10}), end = at::zeros({10});
  start[8] = 4;  // "."
  end[4] = 3;    // "it"
  const Span span = BestSpan(start, end, kContext);
  EXPECT_EQ(span.begin, 13u);
  EXPECT_EQ(span.end, 14u);
  start[4] = 4.5;
  end[8] = 5;
  EXPECT_EQ(BestSpan(start, end, kContext).begin, 0u);
  EXPECT_EQ(BestSpan(start, end, kContext, /*max_tokens=*/4).begin, 13u);
}

TEST(BestSpan, IsEmptyWithoutAContext) {
  const Span span = BestSpan(at::zeros({10}), at::zeros({10}), {4, {}});
  EXPECT_EQ(span.begin, span.end);
}

}  // namespace
}  // namespace moefy::ask
