#include "bench/benchmark.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "base/stopwatch.h"
#include "bench/benchmark_layer.h"
#include "bench/machine.h"
#include "bench/roofline.h"
#include "moefy/base/error.h"
#include "record/dump_rows.h"
#include "route/top_k.h"
#include "runtime/sparse_ffn.h"
#include "split/moe_checkpoint.h"

namespace moefy::bench {
namespace {

// Share of the inputs' energy that is common to all tokens under skewed routing: with it, 8 and 32
// tokens choose as many different experts as on the recorded checkpoint of docs/performance.md.
constexpr double kCommonShare = 0.98;

class Bench {
 public:
  explicit Bench(const BenchmarkOptions& options)
      : options_(options), generator_(at::detail::createCPUGenerator(options.seed)) {}

  BenchmarkResult Run(Progress& progress) {
    const at::NoGradGuard no_grad;
    const ThreadCount threads;
    MakeLayers(progress);
    const int most = *std::max_element(options_.threads.begin(), options_.threads.end());
    threads.Set(most);
    std::vector<at::Tensor> weights;
    for (const BenchmarkLayer& layer : layers_) {
      weights.insert(weights.end(), {layer.w_in, layer.w_out});
    }
    roofline_ = MeasureRoofline(weights);
    result_.bandwidth_gigabytes = roofline_.bandwidth_gigabytes;
    result_.peak_gflops = roofline_.peak_gflops;
    progress.Begin("bench",
                   options_.weights.size() * options_.threads.size() * options_.ffn_ratios.size() *
                       options_.tokens.size(),
                   "rows");
    for (const runtime::WeightFormat format : options_.weights) {
      threads.Set(most);
      Pack(format);
      for (const int wanted : options_.threads) {
        const int count = threads.Set(wanted);
        for (const double ratio : options_.ffn_ratios) {
          for (const int64_t tokens : options_.tokens) {
            result_.rows.push_back(MeasureRow(count, ratio, tokens));
            progress.Advance(1);
          }
        }
      }
    }
    progress.End("");
    return std::move(result_);
  }

 private:
  void MakeLayers(Progress& progress) {
    const BenchmarkShape& shape = options_.shape;
    result_.shape = shape;
    result_.cpu = CpuName();
    result_.instruction_set = runtime::InstructionSet();
    result_.blas_warning = BlasWarning();
    result_.last_level_cache_bytes = LastLevelCacheBytes();
    result_.dense_layer_bytes = (shape.gated ? 3 : 2) * shape.hidden * shape.num_neurons * 4;
    result_.num_layers = std::max<int64_t>(
        2, static_cast<int64_t>(
               std::ceil(options_.rotation * static_cast<double>(result_.last_level_cache_bytes) /
                         static_cast<double>(result_.dense_layer_bytes))));
    progress.Begin("random weights", static_cast<uint64_t>(result_.num_layers), "layers");
    for (int64_t i = 0; i < result_.num_layers; ++i) {
      if (options_.routing == Routing::kRecorded) {
        const size_t num_ffns = options_.moe->ffns().size();
        layers_.push_back(
            ReadLayer(*options_.moe, *options_.dump, static_cast<size_t>(i) % num_ffns));
      } else {
        layers_.push_back(MakeLayer(shape, generator_));
      }
      progress.Advance(1);
    }
    progress.End("");
    common_input_ = at::randn({1, shape.hidden}, generator_);
  }

  void Pack(runtime::WeightFormat format) {
    format_ = format;
    for (BenchmarkLayer& layer : layers_) {
      layer.experts.reset();  // before there is another
      layer.experts = std::make_shared<const runtime::ExpertWeights>(runtime::PackExperts(
          layer.weights(options_.shape.activation), options_.shape.num_experts, format));
    }
  }

  BenchmarkLayer& NextLayer() { return layers_[next_layer_++ % layers_.size()]; }

  at::Tensor Inputs(BenchmarkLayer& layer, int64_t tokens) {
    if (options_.routing == Routing::kRecorded) {
      const int64_t available = options_.dump->ffns()[layer.dumped_ffn].tokens;
      if (layer.next_input + tokens > available) layer.next_input = 0;
      const int64_t begin = layer.next_input;
      layer.next_input += tokens;
      return record::ReadRows(*options_.dump, layer.dumped_ffn, begin, begin + tokens);
    }
    at::Tensor x = at::randn({tokens, options_.shape.hidden}, generator_);
    if (options_.routing == Routing::kUniform) return x;
    return x.mul_(std::sqrt(1 - kCommonShare)).add_(common_input_, std::sqrt(kCommonShare));
  }

  BenchmarkRow MeasureRow(int threads, double ratio, int64_t tokens) {
    const BenchmarkShape& shape = options_.shape;
    BenchmarkRow row;
    row.tokens = tokens;
    row.threads = threads;
    row.weights = format_;
    row.packed_layer_bytes = layers_.front().experts->ExpertBytes() * shape.num_experts;
    row.num_selected = route::NumSelected(ratio, shape.num_experts);
    row.ffn_ratio = static_cast<double>(row.num_selected) / static_cast<double>(shape.num_experts);
    std::vector<double> dense_ms, sparse_ms, router_ms, kernel_ms, speedup;
    runtime::SparseCounters counters;
    const Stopwatch stopwatch;
    const auto go_on = [&] {
      const auto done = static_cast<int64_t>(speedup.size());
      if (options_.repetitions > 0) return done < options_.repetitions;
      return done < 5 || (done < 200 && stopwatch.Milliseconds() < 1e3 * options_.seconds_per_row);
    };
    for (bool warming_up = true; warming_up || go_on(); warming_up = false) {
      BenchmarkLayer& layer = NextLayer();
      const at::Tensor x = Inputs(layer, tokens);
      at::Tensor y;  // kept, so that freeing it is not measured
      const double dense = Milliseconds([&] { y = RunDense(layer, shape.activation, x); });
      runtime::SparseFeedForward sparse_ffn(layer.experts, layer.router, ratio);
      const double sparse = Milliseconds([&] { y = sparse_ffn.Forward(x); });
      // The two parts, on weights that have not just been read.
      BenchmarkLayer& other = NextLayer();
      const at::Tensor other_x = Inputs(other, tokens);
      const runtime::RouterWeights other_router = runtime::PackRouter(*other.router);
      const route::SelectionRule rule{row.num_selected};
      at::Tensor chosen;
      const double router =
          Milliseconds([&] { chosen = runtime::Route(other_router, rule, other_x); });
      const double kernel =
          Milliseconds([&] { y = runtime::RunExperts(*other.experts, other_x, chosen); });
      if (warming_up) continue;
      dense_ms.push_back(dense);
      sparse_ms.push_back(sparse);
      router_ms.push_back(router);
      kernel_ms.push_back(kernel);
      speedup.push_back(dense / sparse);
      counters += sparse_ffn.counters();
      row.dense_fallback = sparse_ffn.runs_densely();
    }
    row.repetitions = static_cast<int64_t>(speedup.size());
    row.dense_ms = SpreadOf(dense_ms);
    row.sparse_ms = SpreadOf(sparse_ms);
    row.router_ms = SpreadOf(router_ms);
    row.kernel_ms = SpreadOf(kernel_ms);
    row.speedup = SpreadOf(speedup);
    Derive(counters, row);
    return row;
  }

  void Derive(const runtime::SparseCounters& counters, BenchmarkRow& row) const {
    const auto calls = static_cast<double>(row.repetitions);
    const BenchmarkShape& shape = options_.shape;
    const auto router_bytes =
        row.dense_fallback
            ? 0.0
            : static_cast<double>(shape.num_experts * (shape.hidden + shape.num_experts) * 4);
    row.expert_loads = static_cast<double>(counters.expert_loads) / calls;
    row.sparse_bytes = static_cast<double>(counters.weight_bytes_read) / calls + router_bytes;
    row.sparse_flops = (counters.expert_flops + counters.router_flops) / calls;
    row.sparse_gflops = row.sparse_flops / row.sparse_ms.median / 1e6;
    row.sparse_gigabytes = row.sparse_bytes / row.sparse_ms.median / 1e6;
    const auto dense_bytes = static_cast<double>(result_.dense_layer_bytes);
    row.dense_gflops =
        dense_bytes / 4 * 2 * static_cast<double>(row.tokens) / row.dense_ms.median / 1e6;
    row.dense_gigabytes = dense_bytes / row.dense_ms.median / 1e6;
    row.roofline_ms = roofline_.Milliseconds(row.sparse_bytes, row.sparse_flops);
  }

  const BenchmarkOptions& options_;
  at::Generator generator_;
  std::vector<BenchmarkLayer> layers_;
  size_t next_layer_ = 0;
  runtime::WeightFormat format_ = runtime::WeightFormat::kF32;
  at::Tensor common_input_;  // [1, hidden]
  Roofline roofline_;
  BenchmarkResult result_;
};

void Check(const BenchmarkOptions& options) {
  const BenchmarkShape& shape = options.shape;
  if (shape.hidden < 1 || shape.num_neurons < 1 || shape.num_experts < 1) {
    throw UsageError("bench needs a shape: hidden ", shape.hidden, ", neurons ", shape.num_neurons,
                     ", experts ", shape.num_experts);
  }
  if (shape.num_neurons % shape.num_experts != 0) {
    throw UsageError(shape.num_experts, " experts do not divide ", shape.num_neurons, " neurons");
  }
  if (options.tokens.empty() || options.ffn_ratios.empty() || options.threads.empty() ||
      options.weights.empty()) {
    throw UsageError(
        "bench needs at least one number of tokens, ffn ratio, number of threads and weights");
  }
  if (options.routing == Routing::kRecorded) {
    MOEFY_CHECK(options.moe && options.dump);
    const int64_t most = *std::max_element(options.tokens.begin(), options.tokens.end());
    for (const record::DumpedFfn& ffn : options.dump->ffns()) {
      if (ffn.tokens < most) {
        throw UsageError("the dump holds ", ffn.tokens, " tokens of ", Quoted(ffn.name),
                         "; a call of ", most, " needs as many");
      }
    }
  }
  for (const int64_t tokens : options.tokens) {
    if (tokens < 1) throw UsageError("bench cannot run ", tokens, " tokens");
  }
  for (const double ratio : options.ffn_ratios) route::NumSelected(ratio, shape.num_experts);
  for (const int threads : options.threads) {
    if (threads < 0) throw UsageError("bench cannot run on ", threads, " threads");
  }
  if (!(options.rotation >= 0 && options.rotation <= 1000)) {
    throw UsageError("rotation is ", options.rotation, "; expected 0 to 1000");
  }
}

}  // namespace

Spread SpreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<size_t>(std::lround(share * static_cast<double>(values.size() - 1)))];
  };
  return {at(0.5), at(0.25), at(0.75)};
}

BenchmarkResult RunBenchmark(const BenchmarkOptions& options, Progress& progress) {
  Check(options);
  return Bench(options).Run(progress);
}

}  // namespace moefy::bench
