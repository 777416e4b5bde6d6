#include "split/splitter.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"

namespace moefy::split {
namespace {

model::FfnWeights Ffn(const at::Tensor& w_in) {
  model::FfnWeights ffn;
  ffn.w_in = w_in;
  ffn.w_out = at::zeros_like(w_in);
  return ffn;
}

TEST(Splitters, UnknownNameListsTheNamesAndTheNearest) {
  tests::ExpectError(ErrorKind::kUsage,
                     {"unknown split method 'kmean'; there are kmeans, coactivation, keep-pattern, "
                      "activation-marks, gate-profile, random (did you mean 'kmeans'?)"},
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

// Four groups of neurons, far apart in the order; each token wakes one group. `w_in` alone says
// nothing: a neuron looks at one input of its own group's, times a factor of its own.
struct Groups {
  static constexpr int64_t kGroups = 4, kSize = 8, kNeurons = kGroups * kSize;
  model::FfnWeights ffn;
  tests::TempDir temp;
  record::ActivationDump dump;

  explicit Groups(model::Activation activation)
      : dump(tests::WriteDump(temp.path() / "dump", {{"ffn.0", Inputs()}})) {
    ffn.w_in = at::eye(kNeurons);
    ffn.w_out = at::eye(kNeurons) * at::linspace(1, 2, kNeurons);
    ffn.activation = activation;
  }
  static at::Tensor Inputs() {
    at::manual_seed(4);
    const int64_t tokens = 200;
    const at::Tensor group = at::randint(kGroups, {tokens, 1}, at::kLong);
    const at::Tensor woken = at::arange(kNeurons).remainder(kGroups).unsqueeze(0) == group;
    const at::Tensor strength = at::rand({tokens, kNeurons}) + 0.5;
    return at::where(woken, strength, -4 * strength);
  }
  ExpertPlan Split(const std::string& method, const std::string& features = "auto") const {
    return GetSplitter(method).split(
        {ffn, kGroups, 1, 2, features, record::RecordedInputs(dump, 0)});
  }
  static std::vector<int64_t> Wanted() {
    std::vector<int64_t> order;
    for (int64_t g = 0; g < kGroups; ++g) {
      for (int64_t i = 0; i < kSize; ++i) order.push_back(i * kGroups + g);
    }
    return order;
  }
  // Experts may come in any order.
  static void ExpectFound(const ExpertPlan& plan) {
    std::set<std::vector<int64_t>> experts, wanted;
    const std::vector<int64_t> order = Wanted();
    for (int64_t e = 0; e < kGroups; ++e) {
      experts.emplace(plan.order().begin() + e * kSize, plan.order().begin() + (e + 1) * kSize);
      wanted.emplace(order.begin() + e * kSize, order.begin() + (e + 1) * kSize);
    }
    EXPECT_EQ(experts, wanted);
  }
};

TEST(Splitters, RecordedInputsShowWhatFiresTogether) {
  for (const auto activation : {model::Activation::kRelu, model::Activation::kGelu}) {
    const Groups groups(activation);
    Groups::ExpectFound(groups.Split("coactivation"));
    Groups::ExpectFound(groups.Split("keep-pattern"));
    Groups::ExpectFound(groups.Split("activation-marks"));
  }
}

// Each part of 64 tokens wakes one group.
TEST(Splitters, GateProfilesShowWhatPartOfATextWakes) {
  for (const bool gated : {false, true}) {
    const int64_t n = Groups::kNeurons, tokens = 64 * Groups::kGroups;
    Groups groups(model::Activation::kSilu);
    if (gated) {
      groups.ffn.w_gate = groups.ffn.w_in;
      groups.ffn.w_in = at::randn({n, n});
    }
    const at::Tensor group = at::arange(tokens).div(64, "floor").unsqueeze(1);
    const at::Tensor woken = at::arange(n).remainder(Groups::kGroups).unsqueeze(0) == group;
    const at::Tensor x = at::where(woken, at::rand({tokens, n}) + 0.5, at::zeros({}));
    const tests::TempDir temp;
    const auto dump = tests::WriteDump(temp.path() / "dump", {{"ffn.0", x}});
    const SplitRequest request = {groups.ffn, Groups::kGroups, 1,
                                  2,          "auto",          record::RecordedInputs(dump, 0)};
    Groups::ExpectFound(GetSplitter("gate-profile").split(request));
  }
}

TEST(Splitters, AnFfnThatNothingWasRecordedOfIsStillSplit) {
  const Groups groups(model::Activation::kRelu);
  const tests::TempDir temp;
  const auto dump =
      tests::WriteDump(temp.path() / "dump", {{"ffn.0", at::zeros({0, Groups::kNeurons})}});
  for (const Splitter& splitter : Splitters()) {
    const SplitRequest request = {groups.ffn, 4, 0, 2, "auto", record::RecordedInputs(dump, 0)};
    EXPECT_EQ(splitter.split(request).neurons_per_expert(), Groups::kSize) << splitter.name;
  }
}

TEST(Features, DecideWhatKMeansCompares) {
  model::FfnWeights ffn =
      Ffn(at::tensor({1.0f, 0.0f, 1.0f, 0.0f, 0.0f, 1.0f, 0.0f, 1.0f}).view({4, 2}));
  ffn.w_gate = at::tensor({1.0f, 0.0f, 0.0f, 1.0f, 1.0f, 0.0f, 0.0f, 1.0f}).view({4, 2});
  const auto order = [&](const std::string& features) {
    return GetSplitter("kmeans").split({ffn, 2, 0, 2, features}).order();
  };
  EXPECT_EQ(order("w_in"), (std::vector<int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(order("gate"), (std::vector<int64_t>{0, 2, 1, 3}));
  EXPECT_NE(order("concat"), (std::vector<int64_t>{0, 3, 1, 2}));  // differ in both
  ffn.w_gate = at::Tensor();
  tests::ExpectError(ErrorKind::kUsage, {"features 'gate' need a gated FFN"},
                     [&] { order("gate"); });
}

TEST(Features, ContributionLetsTheNeuronsThatMatterDecide) {
  // Neurons 0 and 1 point one way and are never used, 2 and 3 point two ways and are. By direction
  // 0 and 1 belong together; without weight they keep nobody apart, and 2 and 3 part.
  model::FfnWeights ffn =
      Ffn(at::tensor({1.0f, 0.0f, 0.0f, 0.9f, 0.1f, 0.0f, 0.0f, 1.0f, -0.2f, 0.0f, -0.2f, 1.0f})
              .view({4, 3}));
  ffn.w_out = at::ones({4, 3});
  const tests::TempDir temp;
  const at::Tensor x = at::tensor({-1.0f, 1.0f, 0.0f, -1.0f, 0.0f, 1.0f}).view({2, 3});
  const auto dump = tests::WriteDump(temp.path() / "dump", {{"ffn.0", x}});
  const record::RecordedInputs inputs(dump, 0);
  EXPECT_EQ(GetSplitter("kmeans").split({ffn, 2, 0, 4, "auto", inputs}).order(),
            (std::vector<int64_t>{0, 1, 2, 3}));
  const auto order = GetSplitter("kmeans").split({ffn, 2, 0, 4, "contribution", inputs}).order();
  EXPECT_TRUE(order == (std::vector<int64_t>{0, 2, 1, 3}) ||
              order == (std::vector<int64_t>{0, 3, 1, 2}));
}

TEST(Features, AreCheckedByName) {
  tests::ExpectError(ErrorKind::kUsage,
                     {"unknown features 'gat'", "auto, w_in, gate, concat, contribution", "'gate'"},
                     [] { CheckFeatures(GetSplitter("kmeans"), "gat"); });
  tests::ExpectError(ErrorKind::kUsage, {"'random' takes no features, found 'gate'"},
                     [] { CheckFeatures(GetSplitter("random"), "gate"); });
  EXPECT_TRUE(NeedsInputs(GetSplitter("coactivation"), "auto", 0));
  EXPECT_TRUE(NeedsInputs(GetSplitter("kmeans"), "contribution", 0));
  EXPECT_TRUE(NeedsInputs(GetSplitter("random"), "auto", 1));
  EXPECT_FALSE(NeedsInputs(GetSplitter("kmeans"), "concat", 0));
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
