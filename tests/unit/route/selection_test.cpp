#include "route/selection.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace moefy::route {
namespace {

TEST(ParseSelection, TakesARouterAndAPolicy) {
  EXPECT_EQ(ParseSelection("oracle-output").router, "oracle-output");
  EXPECT_EQ(ParseSelection("oracle-output").policy, "top-k");
  EXPECT_EQ(ParseSelection("mlp:threshold").router, "mlp");
  EXPECT_EQ(ParseSelection("mlp:threshold").policy, "threshold");
  EXPECT_FALSE(ParseSelection("mlp:threshold").neuron_share.has_value());
  const Selection thinned = ParseSelection("mlp:budget/0.25");
  EXPECT_EQ(thinned.router + " " + thinned.policy, "mlp budget");
  EXPECT_EQ(thinned.neuron_share, 0.25);
  EXPECT_EQ(ParseSelection("ridge/0.5").policy, "top-k");
  for (const char* wrong : {"mlp/", "mlp/0", "mlp/1.5", "mlp/half", "mlp/0.5x", "mlp/nan"}) {
    tests::ExpectError(ErrorKind::kUsage, {wrong, "expected one above 0 and at most 1"},
                       [&] { ParseSelection(wrong); });
  }
  tests::ExpectError(ErrorKind::kUsage, {"unknown selection 'orakle'", "did you mean 'oracle'"},
                     [] { ParseSelection("orakle"); });
  tests::ExpectError(ErrorKind::kUsage,
                     {"unknown selection policy 'treshold'", "did you mean 'threshold'"},
                     [] { ParseSelection("mlp:treshold"); });
}

TEST(Selection, PrintsTheTextItWasReadFrom) {
  for (const char* text :
       {"mlp", "mlp:top-k", "stored:threshold", "oracle-output/0.50", "low-rank:budget/1"}) {
    EXPECT_EQ(ParseSelection(text).Text(), text);
  }
  Selection named = ParseSelection("stored:threshold/0.5");
  named.router = "ridge";
  EXPECT_EQ(named.Text(), "ridge:threshold/0.5");
}

}  // namespace
}  // namespace moefy::route
