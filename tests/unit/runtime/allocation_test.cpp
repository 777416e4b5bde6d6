// What the runtime adds to a token allocates nothing but its result, and from memory to memory
// nothing at all.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "route/learned_routers.h"
#include "runtime/packed_linear.h"
#include "runtime/select_experts.h"
#include "runtime/sparse_ffn.h"
#include "unit/runtime/allocation_count.h"
#include "unit/runtime/reference.h"

namespace moefy::runtime {
namespace {

template <class Run>
int64_t AllocationsOf(const Run& run) {
  run();  // buffers grow
  const int64_t before = tests::NumAllocations();
  run();
  return tests::NumAllocations() - before;
}

class Allocation : public testing::Test {
 protected:
  const tests::FfnShape shape_{64, 16, 12};
  const model::FfnWeights ffn_ = tests::RandomFfn(shape_, 1);
  const std::shared_ptr<const ExpertWeights> experts_ =
      std::make_shared<const ExpertWeights>(PackExperts(ffn_, 16));
  const at::Tensor x_ = tests::RandomTokens(3, 64, 2);
  const int64_t of_result_ = AllocationsOf([this] { at::empty_like(x_); });
};

TEST_F(Allocation, TheCounterCounts) { EXPECT_GE(of_result_, 2) << "a tensor and its memory"; }

TEST_F(Allocation, RoutedExpertsAllocateOnlyTheirResult) {
  SparseFeedForward sparse(
      experts_, std::make_shared<route::MlpRouter>(at::randn({16, 64}), at::randn({16, 16})), 0.25);
  ASSERT_FALSE(sparse.runs_densely());
  EXPECT_EQ(AllocationsOf([&] { sparse.Forward(x_); }), of_result_);
  std::vector<float> y(3 * 64);
  const float* const x = x_.data_ptr<float>();
  EXPECT_EQ(AllocationsOf([&] { sparse.ForwardInto(x, 3, 64, y.data()); }), 0);
}

TEST_F(Allocation, SelectionAndChosenExpertsAllocateOnlyTheirResults) {
  const at::Tensor scores = at::randn({3, 16});
  const route::SelectionRule rule{4};
  const at::Tensor chosen = SelectExperts(scores, rule);
  EXPECT_EQ(AllocationsOf([&] { SelectExperts(scores, rule); }), of_result_);
  EXPECT_EQ(AllocationsOf([&] { RunExperts(*experts_, x_, chosen); }), of_result_);
  std::vector<float> y(3 * 64);
  const float* const x = x_.data_ptr<float>();
  EXPECT_EQ(AllocationsOf([&] { RunAllExpertRows(*experts_, x, 3, y.data(), nullptr); }), 0);
}

TEST_F(Allocation, PackedLinearMapsAllocateOnlyTheirResult) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kInt8}) {
    const PackedLinear linear(at::randn({48, 64}), at::randn({48}), format);
    EXPECT_EQ(AllocationsOf([&] { linear.Forward(x_); }), of_result_);
    std::vector<float> y(3 * 48);
    const float* const x = x_.data_ptr<float>();
    EXPECT_EQ(AllocationsOf([&] { linear.ForwardInto(x, 3, y.data()); }), 0);
  }
}

}  // namespace
}  // namespace moefy::runtime
