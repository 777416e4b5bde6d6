#include "split/shared_experts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "moefy/base/strings.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"

namespace moefy::split {
namespace {

using ::testing::ElementsAre;

// Neuron i is as active as input i is, where that is positive.
model::FfnWeights Mirror(int64_t neurons) {
  model::FfnWeights ffn;
  ffn.w_in = at::eye(neurons);
  ffn.w_out = at::eye(neurons);
  return ffn;
}

class SharedExperts : public ::testing::Test {
 protected:
  record::RecordedInputs Record(const at::Tensor& x) {
    const auto directory = temp_.path() / StrCat("dump-", ++num_dumps_);
    dump_.emplace(tests::WriteDump(directory, {{"ffn.0", x}}));
    return {*dump_, 0};
  }
  std::vector<int64_t> Count(const model::FfnWeights& ffn, const at::Tensor& x) {
    const at::Tensor counts = CountTopTokens(ffn, Record(x));
    return {counts.data_ptr<int64_t>(), counts.data_ptr<int64_t>() + counts.numel()};
  }

  tests::TempDir temp_;
  std::optional<record::ActivationDump> dump_;
  int num_dumps_ = 0;
};

TEST_F(SharedExperts, ATokensTopTenthCounts) {
  at::Tensor x = at::zeros({4, 20});  // the top 10 % are 2
  x[0][3] = 5, x[0][7] = 4, x[0][9] = 3;
  x[1][3] = 1, x[1][9] = 2, x[1][7] = -8;
  x[2][11] = 1;  // zeros are not at the top, however few others there are
  EXPECT_THAT(Count(Mirror(20), x),
              ElementsAre(0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0));
}

TEST_F(SharedExperts, WhatCountsIsTheLengthAddedToTheOutput) {
  model::FfnWeights ffn = Mirror(10);  // the top 10 % is 1
  ffn.w_out[2] *= 100;
  at::Tensor x = at::zeros({1, 10});
  x[0][1] = 5, x[0][2] = 1;
  EXPECT_THAT(Count(ffn, x), ElementsAre(0, 0, 1, 0, 0, 0, 0, 0, 0, 0));
}

TEST_F(SharedExperts, RanksDiffer) {
  // Neuron 2 is most active on most tokens, 5 adds most to the output, 7 is active on the mean.
  model::FfnWeights ffn = Mirror(10);
  ffn.w_out[5] *= 100;
  at::Tensor x = at::zeros({128, 10});
  x.select(1, 2).fill_(2);
  x.select(1, 5).fill_(1);
  x.select(1, 7).slice(0, 0, 40).fill_(50);
  const record::RecordedInputs inputs = Record(x);
  const auto first = [&](const char* name) {
    return GetSharedRank(name).rank(ffn, inputs).argmax().item<int64_t>();
  };
  EXPECT_EQ(first("activation"), 2);
  EXPECT_EQ(first("contribution"), 5);
  EXPECT_EQ(first("gate"), 7);
  tests::ExpectError(ErrorKind::kUsage, {"--shared-by is 'gat'", "did you mean 'gate'"},
                     [] { GetSharedRank("gat"); });
}

TEST_F(SharedExperts, TheRankDecidesWhoIsShared) {
  at::Tensor x = at::zeros({3, 12});
  x.select(1, 4).fill_(1);
  x.select(1, 9).fill_(9);
  x[0][10] = 100;
  const SplitRequest request = {Mirror(12), 12, 0, 1, "auto", Record(x)};
  const auto shared = [&](const char* rank) {
    return SplitWithShared(GetSplitter("random"), request, 1, GetSharedRank(rank)).order()[0];
  };
  EXPECT_EQ(shared("activation"), 9);
  EXPECT_EQ(shared("gate"), 10);
}

// Of 4 neurons with gates that are always open, 2 open in one part of two.
TEST_F(SharedExperts, FfnsWhoseGatesVaryShareFewer) {
  at::Tensor x = at::ones({128, 4});
  EXPECT_EQ(NumSharedByVariation(Mirror(4), Record(x), 4, {0.25, 0.75}), 3);
  x.slice(0, 64, 128).slice(1, 0, 2).zero_();  // a deviation of 1 of the mean
  EXPECT_EQ(NumSharedByVariation(Mirror(4), Record(x), 4, {0.25, 0.75}), 2);
  x.slice(0, 64, 128).zero_();
  EXPECT_EQ(NumSharedByVariation(Mirror(4), Record(x), 4, {0.25, 0.75}), 1);
  EXPECT_EQ(NumSharedByVariation(Mirror(4), Record(x), 4, {0, 0.99}), 0);
}

// Shared neurons are among a token's largest, so that others are not.
TEST_F(SharedExperts, MarksAreOfTheWholeFfn) {
  // Neuron 9 is the one that is marked (a tenth of 10 is one) whenever it is active. Where it is
  // not, 0 and 2 are, or 1 and 3.
  at::Tensor x = at::zeros({40, 10});
  x.select(1, 9).slice(0, 0, 20).fill_(9);
  x.slice(0, 0, 20).slice(1, 0, 2).fill_(1);  // would put 0 and 1 together
  for (int64_t t = 20; t < 40; ++t) x[t][t % 2 == 0 ? 0 : 1] = x[t][t % 2 == 0 ? 2 : 3] = 1;
  const model::FfnWeights ffn = Mirror(10);
  const std::vector<int64_t> kept = {0, 1, 2, 3};
  model::FfnWeights rest, beside;
  const at::Tensor rows = at::tensor(at::ArrayRef<int64_t>(kept));
  rest.w_in = ffn.w_in.index_select(0, rows);
  rest.w_out = ffn.w_out.index_select(0, rows);
  beside.w_in = ffn.w_in.slice(0, 4, 10);
  beside.w_out = ffn.w_out.slice(0, 4, 10);
  SplitRequest request = {rest, 2, 0, 3, "auto", Record(x)};
  request.beside = beside;
  EXPECT_EQ(GetSplitter("activation-marks").split(request).order(),
            (std::vector<int64_t>{0, 2, 1, 3}));
}

TEST_F(SharedExperts, TiesGoToTheLowerNeuron) {
  at::Tensor x = at::zeros({3, 12});
  x[0][8] = 1, x[1][8] = 1, x[2][5] = 1;
  const SplitRequest request = {Mirror(12), 4, 0, 1, "auto", Record(x)};
  const ExpertPlan plan = SplitWithShared(GetSplitter("random"), request, 2);
  const std::vector<int64_t> shared(plan.order().begin(), plan.order().begin() + 6);
  EXPECT_THAT(shared, ElementsAre(0, 1, 2, 3, 5, 8));
}

// The method sees the other neurons and nothing else.
TEST_F(SharedExperts, TheMethodSplitsTheOthers) {
  at::manual_seed(3);
  model::FfnWeights ffn;
  ffn.w_in = at::randn({40, 6});
  ffn.b_in = at::randn({40});
  ffn.w_gate = at::randn({40, 6});
  ffn.w_out = at::randn({40, 6});
  ffn.activation = model::Activation::kSilu;
  const record::RecordedInputs inputs = Record(at::randn({200, 6}));
  const ExpertPlan plan = SplitWithShared(GetSplitter("kmeans"), {ffn, 5, 7, 2, "auto", inputs}, 1);
  std::vector<int64_t> others(plan.order().begin() + 8, plan.order().end());
  const std::vector<int64_t> order = others;
  std::ranges::sort(others);
  const at::Tensor rows = at::tensor(at::ArrayRef<int64_t>(others));
  model::FfnWeights rest = ffn;
  rest.w_in = ffn.w_in.index_select(0, rows);
  rest.b_in = ffn.b_in.index_select(0, rows);
  rest.w_gate = ffn.w_gate.index_select(0, rows);
  rest.w_out = ffn.w_out.index_select(0, rows);
  std::vector<int64_t> wanted = GetSplitter("kmeans").split({rest, 4, 7, 2}).order();
  for (int64_t& neuron : wanted) neuron = others[neuron];
  EXPECT_EQ(order, wanted);
}

TEST_F(SharedExperts, RefusesWhatIsNotFinite) {
  at::Tensor x = at::zeros({2, 12});
  x[1][4] = std::numeric_limits<float>::infinity();
  tests::ExpectError(ErrorKind::kInput, {"inf for token 1"}, [&] { Count(Mirror(12), x); });
}

TEST_F(SharedExperts, RefusesToLeaveNone) {
  CheckNumShared(0, 1);
  CheckNumShared(3, 4);
  tests::ExpectError(ErrorKind::kUsage, {"--shared is 4 of 4 experts; expected 0 to 3"},
                     [] { CheckNumShared(4, 4); });
  tests::ExpectError(ErrorKind::kUsage, {"--shared is -1"}, [] { CheckNumShared(-1, 4); });
}

}  // namespace
}  // namespace moefy::split
