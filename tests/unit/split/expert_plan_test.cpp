#include "split/expert_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace moefy::split {
namespace {

using ::testing::ElementsAre;

TEST(ExpertPlan, KeepsOrderAndInverts) {
  const ExpertPlan plan({2, 0, 3, 1}, 2);
  EXPECT_EQ(plan.num_neurons(), 4);
  EXPECT_EQ(plan.neurons_per_expert(), 2);
  EXPECT_THAT(plan.order(), ElementsAre(2, 0, 3, 1));
  EXPECT_THAT(plan.Inverse(), ElementsAre(1, 3, 0, 2));
}

TEST(ExpertPlan, FromAssignmentKeepsNeuronsInOrderWithinAnExpert) {
  const ExpertPlan plan = ExpertPlan::FromAssignment({1, 0, 1, 0, 2, 2}, 3);
  EXPECT_THAT(plan.order(), ElementsAre(1, 3, 0, 2, 4, 5));
}

TEST(ExpertPlan, RefusesWhatIsNoPartition) {
  tests::ExpectError(ErrorKind::kInput, {"2 experts do not divide 3 neurons"}, [] {
    ExpertPlan({0, 1, 2}, 2);
  });
  tests::ExpectError(ErrorKind::kInput, {"0 experts"}, [] { ExpertPlan({0, 1}, 0); });
  tests::ExpectError(ErrorKind::kInput, {"0 neurons"}, [] { ExpertPlan({}, 1); });
  tests::ExpectError(ErrorKind::kInput, {"position 1 holds neuron 4; expected 0 to 3"}, [] {
    ExpertPlan({0, 4, 1, 2}, 2);
  });
  tests::ExpectError(ErrorKind::kInput, {"holds neuron -1"}, [] { ExpertPlan({0, -1}, 1); });
  tests::ExpectError(ErrorKind::kInput, {"neuron 1 appears twice, again at position 2"}, [] {
    ExpertPlan({0, 1, 1, 2}, 2);
  });
}

TEST(ExpertPlan, KnowsItsSharedExperts) {
  EXPECT_EQ(ExpertPlan({2, 0, 3, 1}, 2).num_shared(), 0);
  EXPECT_EQ(ExpertPlan({2, 0, 3, 1}, 2, 1).num_shared(), 1);
  tests::ExpectError(ErrorKind::kInput, {"2 of 2 experts are shared; expected 0 to 1"}, [] {
    ExpertPlan({2, 0, 3, 1}, 2, 2);
  });
  tests::ExpectError(ErrorKind::kInput, {"-1 of 2 experts are shared"}, [] {
    ExpertPlan({2, 0, 3, 1}, 2, -1);
  });
}

TEST(ExpertPlan, RefusesAnUnbalancedAssignment) {
  tests::ExpectError(ErrorKind::kInput, {"expert 0 has 3 neurons"}, [] {
    ExpertPlan::FromAssignment({0, 0, 0, 1}, 2);
  });
  tests::ExpectError(ErrorKind::kInput, {"neuron 1 is in expert 2; expected 0 to 1"}, [] {
    ExpertPlan::FromAssignment({0, 2}, 2);
  });
}

}  // namespace
}  // namespace moefy::split
