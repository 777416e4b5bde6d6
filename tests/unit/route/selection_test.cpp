#include "moefy/route/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "support/expect_error.h"

namespace moefy::route {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

std::vector<int64_t> Row(const at::Tensor& chosen, int64_t token) {
  const int64_t* row = chosen.data_ptr<int64_t>() + token * chosen.size(1);
  return {row, row + chosen.size(1)};
}

TEST(NumSelected, RoundsAndKeepsAtLeastOne) {
  EXPECT_EQ(NumSelected(0.2, 128), 26);
  EXPECT_EQ(NumSelected(1.0, 128), 128);
  EXPECT_EQ(NumSelected(1e-9, 128), 1);
  EXPECT_EQ(NumSelected(0.5, 1), 1);
}

TEST(NumSelected, RefusesWhatIsNoShare) {
  for (const double ratio : {0.0, -0.1, 1.001, std::numeric_limits<double>::quiet_NaN()}) {
    tests::ExpectError(ErrorKind::kUsage, {"expected a share above 0 and at most 1"},
                       [&] { NumSelected(ratio, 8); });
  }
}

TEST(SelectTopK, TakesTheHighestOfEachToken) {
  const at::Tensor scores =
      at::tensor({0.1f, -5.0f, 3.0f, 2.0f, -1.0f, -2.0f, -3.0f, -0.5f}).view({2, 4});
  const at::Tensor chosen = SelectTopK(scores, 2);
  EXPECT_THAT(chosen.sizes(), ElementsAre(2, 2));
  EXPECT_THAT(Row(chosen, 0), UnorderedElementsAre(2, 3));
  EXPECT_THAT(Row(chosen, 1), UnorderedElementsAre(3, 0));
}

TEST(SelectTopK, TiesGoToTheLowerIndex) {
  EXPECT_THAT(Row(SelectTopK(at::zeros({1, 7}), 3), 0), UnorderedElementsAre(0, 1, 2));
  const at::Tensor scores = at::tensor({1.0f, -0.0f, 0.0f, 1.0f, 0.0f}).view({1, 5});
  EXPECT_THAT(Row(SelectTopK(scores, 3), 0), UnorderedElementsAre(0, 3, 1));
}

TEST(SelectTopK, AgreesWithSortingForAnyShape) {
  at::manual_seed(1);
  for (const int64_t experts : {1, 2, 33, 128}) {
    const at::Tensor scores = at::randn({50, experts});
    const at::Tensor sorted = std::get<1>(scores.sort(1, /*descending=*/true));
    for (const int64_t k : {int64_t{1}, (experts + 1) / 2, experts}) {
      const at::Tensor chosen = std::get<0>(SelectTopK(scores, k).sort(1));
      EXPECT_TRUE(chosen.equal(std::get<0>(sorted.narrow(1, 0, k).contiguous().sort(1))));
    }
  }
}

TEST(SelectTopK, CopesWithInfinitiesNaNsAndNoTokens) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const at::Tensor scores =
      at::tensor({-kInf, 0.0f, kInf, std::numeric_limits<float>::quiet_NaN()}).view({1, 4});
  for (const int64_t k : {1, 2, 3, 4}) {
    std::vector<int64_t> row = Row(SelectTopK(scores, k), 0);
    std::ranges::sort(row);
    EXPECT_EQ(std::ranges::unique(row).begin(), row.end()) << "an expert twice";
  }
  EXPECT_EQ(SelectTopK(at::zeros({0, 4}), 2).size(0), 0);
}

}  // namespace
}  // namespace moefy::route
