#include "bench/benchmark.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/machine.h"
#include "moefy/base/error.h"

namespace moefy::bench {
namespace {

std::string UsageMessage(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "no error";
}

BenchmarkOptions SmallBenchmark() {
  BenchmarkOptions options;
  options.shape = {"small", 64, 256, 8, model::Activation::kGelu, true, true};
  options.tokens = {1, 5};
  options.ffn_ratios = {0.25, 1.0};
  options.threads = {1, 2};
  options.repetitions = 3;
  options.rotation = 0;
  return options;
}

TEST(Benchmark, EveryShapeHasExpertsThatDivideItsNeurons) {
  for (const BenchmarkShape& shape : BenchmarkShapes()) {
    EXPECT_EQ(shape.num_neurons % shape.num_experts, 0) << shape.name;
    EXPECT_EQ(&GetBenchmarkShape(shape.name), &shape);
  }
  EXPECT_THAT(UsageMessage([] { GetBenchmarkShape("t5-larg"); }),
              testing::HasSubstr("did you mean 't5-large'"));
}

TEST(Benchmark, RowsAreTheProductOfItsLists) {
  const int threads_before = at::get_num_threads();
  const BenchmarkResult result = RunBenchmark(SmallBenchmark());
  EXPECT_EQ(at::get_num_threads(), threads_before);
  EXPECT_EQ(result.num_layers, 2);
  EXPECT_EQ(result.dense_layer_bytes, 3 * 64 * 256 * 4);
  EXPECT_GT(result.bandwidth_gigabytes, 0);
  ASSERT_EQ(result.rows.size(), 8u);
  for (size_t i = 0; i < 8; ++i) {
    const BenchmarkRow& row = result.rows[i];
    EXPECT_EQ(row.threads, i < 4 ? 1 : 2);
    EXPECT_EQ(row.num_selected, i % 4 < 2 ? 2 : 8);
    EXPECT_EQ(row.tokens, i % 2 == 0 ? 1 : 5);
    EXPECT_EQ(row.repetitions, 3);
    EXPECT_LE(row.speedup.low, row.speedup.median);
    EXPECT_LE(row.speedup.median, row.speedup.high);
    const double expert_flops =
        2.0 * 3 * 64 * 32 * static_cast<double>(row.tokens * row.num_selected);
    EXPECT_EQ(row.dense_fallback, row.num_selected == 8);  // nothing to choose: no router
    const double router_flops =
        row.dense_fallback ? 0 : 2.0 * 8 * (64 + 8) * static_cast<double>(row.tokens);
    EXPECT_DOUBLE_EQ(row.sparse_flops, expert_flops + router_flops);
  }
  // One token reads its experts, all of them at ratio 1, and the router.
  constexpr double kExpertBytes = (3 * 64 + 1) * 32 * 4;
  EXPECT_DOUBLE_EQ(result.rows[0].sparse_bytes, 2 * kExpertBytes + 8 * (64 + 8) * 4);
  EXPECT_DOUBLE_EQ(result.rows[2].sparse_bytes, 8 * kExpertBytes);
}

TEST(Benchmark, WeightsAreOneOfTheLists) {
  BenchmarkOptions options = SmallBenchmark();
  options.tokens = {5};
  options.ffn_ratios = {0.25};
  options.threads = {1};
  options.weights = {runtime::WeightFormat::kF32, runtime::WeightFormat::kInt8};
  options.routing = Routing::kSkewed;
  const BenchmarkResult result = RunBenchmark(options);
  ASSERT_EQ(result.rows.size(), 2u);
  EXPECT_EQ(result.rows[0].packed_layer_bytes, 256 * (3 * 64 + 1) * 4);
  EXPECT_EQ(result.rows[1].packed_layer_bytes, 256 * (3 * 64 + (1 + 2) * 4));
}

TEST(Benchmark, RefusesWhatMakesNoSense) {
  const auto message = [](const std::function<void(BenchmarkOptions&)>& change) {
    BenchmarkOptions options = SmallBenchmark();
    change(options);
    return UsageMessage([&] { RunBenchmark(options); });
  };
  using Options = BenchmarkOptions;
  EXPECT_THAT(message([](Options& o) { o.shape.num_experts = 7; }),
              testing::HasSubstr("7 experts do not divide 256 neurons"));
  EXPECT_THAT(message([](Options& o) { o.tokens = {0}; }), testing::HasSubstr("0 tokens"));
  EXPECT_THAT(message([](Options& o) { o.ffn_ratios = {1.5}; }), testing::HasSubstr("1.5"));
  EXPECT_THAT(message([](Options& o) { o.threads = {}; }), testing::HasSubstr("at least one"));
}

TEST(Machine, SaysSomething) {
  EXPECT_FALSE(CpuName().empty());
  EXPECT_GT(LastLevelCacheBytes(), 0);
}

}  // namespace
}  // namespace moefy::bench
