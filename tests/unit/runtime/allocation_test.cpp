// What the runtime adds to a token allocates nothing but its result: a program of its own, because
// it replaces operator new.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "moefy/route/learned_routers.h"
#include "moefy/runtime/packed_linear.h"
#include "moefy/runtime/sparse_ffn.h"
#include "unit/runtime/reference.h"

namespace {
thread_local int64_t num_news = 0;
}  // namespace

void* operator new(size_t size) {
  ++num_news;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace moefy::runtime {
namespace {

template <class Run>
int64_t NewsOf(const Run& run) {
  run();  // buffers grow
  const int64_t before = num_news;
  run();
  return num_news - before;
}

class Allocation : public testing::Test {
 protected:
  const tests::FfnShape shape_{64, 16, 12};
  const model::FfnWeights ffn_ = tests::RandomFfn(shape_, 1);
  const std::shared_ptr<const ExpertWeights> experts_ =
      std::make_shared<const ExpertWeights>(PackExperts(ffn_, 16));
  const at::Tensor x_ = tests::RandomTokens(3, 64, 2);
  const int64_t result_news_ = NewsOf([this] { at::empty_like(x_); });
};

TEST_F(Allocation, TheCounterCounts) { EXPECT_GT(result_news_, 0); }

TEST_F(Allocation, RoutedExpertsAllocateOnlyTheirResult) {
  SparseFeedForward sparse(
      experts_, std::make_shared<route::MlpRouter>(at::randn({16, 64}), at::randn({16, 16})), 0.25);
  ASSERT_FALSE(sparse.runs_densely());
  EXPECT_EQ(NewsOf([&] { sparse.Forward(x_); }), result_news_);
}

TEST_F(Allocation, SelectionAndChosenExpertsAllocateOnlyTheirResults) {
  const at::Tensor scores = at::randn({3, 16});
  const SelectionRule rule{4};
  const at::Tensor chosen = SelectExperts(scores, rule);
  EXPECT_EQ(NewsOf([&] { SelectExperts(scores, rule); }), result_news_);
  EXPECT_EQ(NewsOf([&] { RunExperts(*experts_, x_, chosen); }), result_news_);
  EXPECT_EQ(NewsOf([&] { RunAllExperts(*experts_, x_); }), result_news_);
}

TEST_F(Allocation, PackedLinearMapsAllocateOnlyTheirResult) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kInt8}) {
    const PackedLinear linear(at::randn({48, 64}), at::randn({48}), format);
    EXPECT_EQ(NewsOf([&] { linear.Forward(x_); }), result_news_);
  }
}

}  // namespace
}  // namespace moefy::runtime
