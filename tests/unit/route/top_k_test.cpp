#include "route/top_k.h"

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

TEST(NumSelected, CountsTheSharedExperts) {
  EXPECT_EQ(NumSelected(0.2, 20, 3), 4);
  EXPECT_EQ(NumSelected(0.1, 20, 3), 3);
  EXPECT_EQ(NumSelected(1.0, 20, 3), 20);
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

TEST(SelectTopKInOrder, IsTheSameChoiceInOrder) {
  at::manual_seed(3);
  for (const int64_t experts : {1, 2, 33, 1536}) {
    at::Tensor scores = at::randn({20, experts}).abs();
    scores[0].fill_(0);                                       // all alike
    scores[1] = at::randint(0, 3, {experts}).to(at::kFloat);  // many alike
    scores[2] *= 1e-38;                                       // close to nothing
    scores[3][0] = std::numeric_limits<float>::infinity();
    for (const int64_t k : {int64_t{1}, (experts + 1) / 2, experts}) {
      const at::Tensor wanted = std::get<0>(SelectTopK(scores, k).sort(1));
      for (int64_t t = 0; t < scores.size(0); ++t) {
        std::vector<int32_t> out(static_cast<size_t>(experts) + 1, -7);
        SelectTopKInOrder(scores[t].contiguous().data_ptr<float>(), experts, k, out.data());
        EXPECT_EQ(out.back(), -7);
        out.resize(static_cast<size_t>(k));
        EXPECT_EQ(std::vector<int64_t>(out.begin(), out.end()), Row(wanted.contiguous(), t))
            << "token " << t << ", " << k << " of " << experts;
      }
    }
  }
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

TEST(SelectTopK, SharedExpertsRunWhateverTheyScore) {
  at::manual_seed(2);
  at::Tensor scores = at::randn({30, 9});
  scores.select(1, 0).fill_(-100);
  scores.select(1, 1).fill_(std::numeric_limits<float>::quiet_NaN());
  const at::Tensor others = scores.narrow(1, 2, 7).contiguous();
  for (const int64_t k : {2, 3, 5, 9}) {
    const at::Tensor chosen = SelectTopK(scores, k, 2);
    ASSERT_THAT(chosen.sizes(), ElementsAre(30, k));
    EXPECT_TRUE(chosen.select(1, 0).eq(0).all().item<bool>());
    EXPECT_TRUE(chosen.select(1, 1).eq(1).all().item<bool>());
    const at::Tensor mask = TopKMask(scores, k, 2);
    EXPECT_TRUE(mask.sum(1).eq(k).all().item<bool>());
    if (k == 2) continue;
    const at::Tensor routed = std::get<0>(chosen.narrow(1, 2, k - 2).sort(1));
    EXPECT_TRUE(routed.equal(std::get<0>(SelectTopK(others, k - 2).sort(1)) + 2));
    EXPECT_TRUE(mask.narrow(1, 2, 7).equal(TopKMask(others, k - 2)));
  }
}

TEST(TopKMask, MarksWhatSelectTopKTakes) {
  at::manual_seed(4);
  const at::Tensor scores = at::randn({20, 9});
  for (const int64_t k : {1, 4, 9}) {
    const at::Tensor mask = TopKMask(scores, k);
    EXPECT_TRUE(mask.sum(1).eq(k).all().item<bool>());
    EXPECT_TRUE(mask.gather(1, SelectTopK(scores, k)).all().item<bool>());
  }
}

}  // namespace
}  // namespace moefy::route
