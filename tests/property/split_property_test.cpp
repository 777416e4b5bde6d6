// What every splitter owes, whatever it is: run on each row of the table, for many shapes and
// seeds.
#include <gtest/gtest.h>

#include <algorithm>

#include "property/splitter_names.h"
#include "split/shared_experts.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"

namespace moefy::split {
namespace {

struct Shape {
  int64_t neurons, hidden, experts;
  bool gated;
};

class EverySplitter : public ::testing::TestWithParam<std::tuple<std::string, Shape>> {};

model::FfnWeights RandomFfn(const Shape& shape, int64_t salt) {
  at::manual_seed(salt);
  model::FfnWeights ffn;
  ffn.w_in = at::randn({shape.neurons, shape.hidden});
  ffn.w_out = at::randn({shape.neurons, shape.hidden});
  if (shape.gated) ffn.w_gate = at::randn({shape.neurons, shape.hidden});
  return ffn;
}

// Inputs on record, for the methods that want some.
struct Recorded {
  explicit Recorded(const Shape& shape)
      : dump(tests::WriteDump(temp.path() / "dump", {{"ffn.0", at::randn({300, shape.hidden})}})) {}
  record::RecordedInputs inputs() const { return {dump, 0}; }

  tests::TempDir temp;
  record::ActivationDump dump;
};

TEST_P(EverySplitter, GivesABalancedPartitionAndTheSameOneAgain) {
  const auto& [name, shape] = GetParam();
  const Splitter& splitter = GetSplitter(name);
  for (uint64_t seed : {0, 1, 2, 17, 123456789}) {
    const model::FfnWeights ffn = RandomFfn(shape, static_cast<int64_t>(seed) + 1);
    const Recorded recorded(shape);
    const SplitRequest request = {ffn, shape.experts, seed, 2, "auto", recorded.inputs()};
    const at::Tensor w_in = ffn.w_in.clone(), w_out = ffn.w_out.clone();
    const ExpertPlan plan = splitter.split(request);
    EXPECT_EQ(plan.num_experts(), shape.experts);
    EXPECT_EQ(plan.neurons_per_expert() * shape.experts, shape.neurons);
    std::vector<int64_t> sorted = plan.order();
    std::ranges::sort(sorted);
    for (int64_t i = 0; i < shape.neurons; ++i) ASSERT_EQ(sorted[i], i);
    EXPECT_EQ(splitter.split(request).order(), plan.order());
    EXPECT_TRUE(ffn.w_in.equal(w_in));
    EXPECT_TRUE(ffn.w_out.equal(w_out));
  }
}

TEST_P(EverySplitter, SplitsWhatTheSharedExpertsLeave) {
  const auto& [name, shape] = GetParam();
  if (shape.experts == 1) return;  // none is left
  const Splitter& splitter = GetSplitter(name);
  const model::FfnWeights ffn = RandomFfn(shape, 9);
  const Recorded recorded(shape);
  const SplitRequest request = {ffn, shape.experts, 5, 2, "auto", recorded.inputs()};
  EXPECT_EQ(SplitWithShared(splitter, request, 0).order(), splitter.split(request).order());
  const at::Tensor counted = CountTopTokens(ffn, recorded.inputs());
  const int64_t* counts = counted.data_ptr<int64_t>();
  for (const int64_t num_shared : std::set<int64_t>{1, shape.experts / 2, shape.experts - 1}) {
    const ExpertPlan plan = SplitWithShared(splitter, request, num_shared);
    EXPECT_EQ(plan.num_experts(), shape.experts);
    EXPECT_EQ(plan.num_shared(), num_shared);
    std::vector<int64_t> sorted = plan.order();
    std::ranges::sort(sorted);
    for (int64_t i = 0; i < shape.neurons; ++i) ASSERT_EQ(sorted[i], i);
    const auto others = plan.order().begin() + num_shared * plan.neurons_per_expert();
    const auto by_count = [&](int64_t a, int64_t b) { return counts[a] < counts[b]; };
    EXPECT_GE(counts[*std::min_element(plan.order().begin(), others, by_count)],
              counts[*std::max_element(others, plan.order().end(), by_count)]);
    EXPECT_EQ(SplitWithShared(splitter, request, num_shared).order(), plan.order());
  }
}

TEST_P(EverySplitter, AnotherSeedMayGiveAnotherPlan) {
  const auto& [name, shape] = GetParam();
  if (shape.experts == 1 || shape.experts == shape.neurons) return;  // only one partition
  if (name == "coactivation") return;  // METIS finds the same parts of these graphs with any seed
  const model::FfnWeights ffn = RandomFfn(shape, 1);
  const Recorded recorded(shape);
  std::set<std::vector<int64_t>> plans;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    plans.insert(
        GetSplitter(name).split({ffn, shape.experts, seed, 1, "auto", recorded.inputs()}).order());
  }
  EXPECT_GT(plans.size(), 1u) << "the seed is not used";
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, EverySplitter,
    ::testing::Combine(::testing::ValuesIn(SplitterNames()),
                       ::testing::Values(Shape{48, 16, 6, false}, Shape{64, 7, 64, false},
                                         Shape{37, 5, 1, false}, Shape{300, 24, 20, true},
                                         Shape{512, 33, 16, false})),
    [](const auto& shape_info) {
      const Shape& shape = std::get<1>(shape_info.param);
      std::string method = std::get<0>(shape_info.param);
      std::ranges::replace(method, '-', '_');
      return method + "_" + std::to_string(shape.neurons) + "_in_" + std::to_string(shape.experts);
    });

}  // namespace
}  // namespace moefy::split
