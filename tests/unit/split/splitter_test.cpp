#include "moefy/split/splitter.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace moefy::split {
namespace {

model::FfnWeights Ffn(const at::Tensor& w_in) {
  model::FfnWeights ffn;
  ffn.w_in = w_in;
  ffn.w_out = at::zeros_like(w_in);
  return ffn;
}

TEST(Splitters, UnknownNameListsTheNamesAndTheNearest) {
  tests::ExpectError(
      ErrorKind::kUsage,
      {"unknown split method 'kmean'; there are kmeans, random (did you mean 'kmeans'?)"},
      [] { GetSplitter("kmean"); });
}

TEST(Splitters, KMeansGroupsByDirectionNotLength) {
  // Neurons 0 and 2 point one way, 1 and 3 another, with lengths that would group otherwise.
  const at::Tensor w_in =
      at::tensor({1.0f, 0.1f, 9.0f, 90.0f, 80.0f, 9.0f, 0.1f, 1.0f}).view({4, 2});
  const model::FfnWeights ffn = Ffn(w_in);
  const ExpertPlan plan = GetSplitter("kmeans").split({ffn, 2, 0, 2});
  EXPECT_EQ(plan.order(), (std::vector<int64_t>{0, 2, 1, 3}));
}

TEST(Splitters, KMeansUsesTheGateOfAGatedFfn) {
  model::FfnWeights ffn =
      Ffn(at::tensor({1.0f, 0.0f, 1.0f, 0.0f, 0.0f, 1.0f, 0.0f, 1.0f}).view({4, 2}));
  ffn.w_gate = at::tensor({1.0f, 0.0f, 0.0f, 1.0f, 1.0f, 0.0f, 0.0f, 1.0f}).view({4, 2});
  const ExpertPlan plan = GetSplitter("kmeans").split({ffn, 2, 0, 2});
  EXPECT_EQ(plan.order(), (std::vector<int64_t>{0, 2, 1, 3}));
}

TEST(Splitters, KMeansRefusesWeightsThatAreNotFinite) {
  at::Tensor w_in = at::ones({4, 2});
  w_in[2][1] = std::numeric_limits<float>::quiet_NaN();
  const model::FfnWeights ffn = Ffn(w_in);
  tests::ExpectError(ErrorKind::kInput, {"neuron 2"}, [&] {
    GetSplitter("kmeans").split({ffn, 2, 0, 2});
  });
}

TEST(Splitters, RandomIsNotContiguous) {
  const model::FfnWeights ffn = Ffn(at::zeros({64, 2}));
  const ExpertPlan plan = GetSplitter("random").split({ffn, 8, 3, 1});
  int64_t neighbours = 0;
  for (int64_t i = 0; i + 1 < 64; ++i) neighbours += plan.order()[i + 1] == plan.order()[i] + 1;
  EXPECT_LT(neighbours, 16);  // 63 when contiguous, 7 expected by chance
}

TEST(ResolveNumExperts, TakesEitherWayOfAsking) {
  EXPECT_EQ(ResolveNumExperts(4096, 128, 0), 128);
  EXPECT_EQ(ResolveNumExperts(4096, 0, 32), 128);
  EXPECT_EQ(ResolveNumExperts(37, 0, 37), 1);
}

TEST(ResolveNumExperts, NamesTheNearestThatDivide) {
  tests::ExpectError(
      ErrorKind::kUsage,
      {"100 experts do not divide the 3072 neurons of an FFN; the nearest that divide: 96 or "
       "128"},
      [] { ResolveNumExperts(3072, 100, 0); });
  tests::ExpectError(
      ErrorKind::kUsage,
      {"expert size 5 does not divide the 37 neurons of an FFN; the nearest that divide: 1 or 37"},
      [] { ResolveNumExperts(37, 0, 5); });
  tests::ExpectError(ErrorKind::kUsage, {"divide: 64"}, [] { ResolveNumExperts(64, 1000, 0); });
  tests::ExpectError(ErrorKind::kUsage, {"divide: 1"}, [] { ResolveNumExperts(64, -4, 0); });
  tests::ExpectError(ErrorKind::kUsage, {"neither is given"}, [] { ResolveNumExperts(64, 0, 0); });
  tests::ExpectError(ErrorKind::kUsage, {"8 experts and size 8"},
                     [] { ResolveNumExperts(64, 8, 8); });
}

}  // namespace
}  // namespace moefy::split
