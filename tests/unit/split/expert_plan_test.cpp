#include "moefy/split/expert_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "expect_error.h"

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
  tests::ExpectError(
      [] {
        ExpertPlan({0, 1, 2}, 2);
      },
      ErrorKind::kInput, "2 experts do not divide 3 neurons");
  tests::ExpectError([] { ExpertPlan({0, 1}, 0); }, ErrorKind::kInput, "0 experts");
  tests::ExpectError([] { ExpertPlan({}, 1); }, ErrorKind::kInput, "0 neurons");
  tests::ExpectError(
      [] {
        ExpertPlan({0, 4, 1, 2}, 2);
      },
      ErrorKind::kInput, "position 1 holds neuron 4; expected 0 to 3");
  tests::ExpectError([] { ExpertPlan({0, -1}, 1); }, ErrorKind::kInput, "holds neuron -1");
  tests::ExpectError(
      [] {
        ExpertPlan({0, 1, 1, 2}, 2);
      },
      ErrorKind::kInput, "neuron 1 appears twice, again at position 2");
}

TEST(ExpertPlan, RefusesAnUnbalancedAssignment) {
  tests::ExpectError(
      [] {
        ExpertPlan::FromAssignment({0, 0, 0, 1}, 2);
      },
      ErrorKind::kInput, "expert 0 has 3 neurons");
  tests::ExpectError(
      [] {
        ExpertPlan::FromAssignment({0, 2}, 2);
      },
      ErrorKind::kInput, "neuron 1 is in expert 2; expected 0 to 1");
}

}  // namespace
}  // namespace moefy::split
