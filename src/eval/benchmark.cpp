#include "moefy/eval/benchmark.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "moefy/base/error.h"
#include "moefy/eval/machine.h"
#include "moefy/model/ffn.h"
#include "moefy/record/activation_dump.h"
#include "moefy/route/router.h"
#include "moefy/route/router_store.h"
#include "moefy/route/selection.h"
#include "moefy/runtime/sparse_ffn.h"
#include "moefy/split/moe_checkpoint.h"

namespace moefy::eval {
namespace {

using model::Activation;
using Clock = std::chrono::steady_clock;

double Milliseconds(const std::function<void()>& work) {
  const Clock::time_point start = Clock::now();
  work();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// The process's thread count, put back at the end.
class ThreadCount {
 public:
  ThreadCount() : before_(at::get_num_threads()) {}
  ~ThreadCount() { at::set_num_threads(before_); }
  // 0 stands for every processor this process may use, which LibTorch's own default need not be: on
  // some virtual machines it takes two cores for one.
  int Set(int count) const {
    UseThreads(count);
    return at::get_num_threads();
  }

 private:
  int before_;
};

// Share of the inputs' energy that is common to all tokens under skewed routing: with it, 8 and 32
// tokens choose as many different experts as on the recorded checkpoint of docs/performance.md.
constexpr double kCommonShare = 0.98;

// One FFN twice: as LibTorch runs it and as we do.
struct Layer {
  at::Tensor w_in, b_in, w_gate, w_out, b_out;  // W_out as LibTorch wants it: [hidden, neurons]
  std::shared_ptr<const runtime::ExpertWeights> experts;  // in the format being measured
  std::shared_ptr<route::Router> router;
  size_t dumped_ffn = 0;  // recorded routing: where its inputs are, and the next one
  int64_t next_input = 0;

  model::FfnWeights weights(Activation activation) const {
    return {w_in, b_in, w_gate, w_out.t(), b_out, activation, {}};
  }
};

// One of the checkpoint's FFNs.
Layer ReadLayer(const split::MoeCheckpoint& moe, const record::ActivationDump& dump,
                size_t ffn_idx) {
  const model::FfnSpec& spec = moe.ffns()[ffn_idx].spec;
  const model::FfnWeights ffn = model::ReadFfnWeights(moe.weights(), spec);
  Layer layer;
  layer.w_in = ffn.w_in;
  layer.b_in = ffn.b_in;
  layer.w_gate = ffn.w_gate;
  layer.w_out = ffn.w_out.t().contiguous();
  layer.b_out = ffn.b_out;
  layer.router = route::ReadMlpRouter(moe, ffn_idx);
  layer.dumped_ffn = dump.GetFfn(spec.name);
  return layer;
}

Layer MakeLayer(const BenchmarkShape& shape, at::Generator& generator) {
  const int64_t neurons = shape.num_neurons, hidden = shape.hidden;
  const auto random = [&](at::IntArrayRef size, int64_t num_inputs) {
    return at::randn(size, generator).mul_(1 / std::sqrt(static_cast<double>(num_inputs)));
  };
  Layer layer;
  layer.w_in = random({neurons, hidden}, hidden);
  layer.w_out = random({hidden, neurons}, neurons);
  if (shape.gated) layer.w_gate = random({neurons, hidden}, hidden);
  if (shape.biases) {
    layer.b_in = random({neurons}, hidden);
    layer.b_out = random({hidden}, hidden);
  }
  layer.router = std::make_shared<route::MlpRouter>(
      random({shape.num_experts, hidden}, 1), random({shape.num_experts, shape.num_experts}, 1));
  return layer;
}

// In place, as a tuned dense model would do it.
void ActivateInPlace(Activation activation, at::Tensor& x) {
  switch (activation) {
    case Activation::kRelu:
      at::relu_(x);
      break;
    case Activation::kGelu:
      at::gelu_(x);
      break;
    case Activation::kGeluTanh:
      at::gelu_(x, "tanh");
      break;
    case Activation::kSilu:
      at::silu_(x);
      break;
  }
}

at::Tensor RunDense(const Layer& layer, Activation activation, const at::Tensor& x) {
  at::Tensor h = at::linear(x, layer.w_in, layer.b_in);  // [tokens, neurons]
  if (layer.w_gate.defined()) {
    at::Tensor gate = at::linear(x, layer.w_gate);
    ActivateInPlace(activation, gate);
    h.mul_(gate);
  } else {
    ActivateInPlace(activation, h);
  }
  return at::linear(h, layer.w_out, layer.b_out);
}

// All weights of all layers, read once by all threads.
double MeasureBandwidth(const std::vector<Layer>& layers) {
  std::vector<at::Tensor> arrays;
  int64_t bytes = 0;
  for (const Layer& layer : layers) {
    for (const at::Tensor& w : {layer.w_in, layer.w_out}) {
      arrays.push_back(w);
      bytes += w.numel() / 16 * 64;
    }
  }
  double best_ms = 1e30;
  for (int repetition = 0; repetition < 5; ++repetition) {
    best_ms =
        std::min(best_ms, Milliseconds([&] {
                   for (const at::Tensor& array : arrays) {
                     const auto* words = reinterpret_cast<const uint64_t*>(array.data_ptr<float>());
                     at::parallel_for(0, array.numel() / 16, 4096, [&](int64_t begin, int64_t end) {
                       uint64_t sums[8] = {};
                       for (int64_t line = begin; line < end; ++line) {
                         for (int i = 0; i < 8; ++i) sums[i] ^= words[line * 8 + i];
                       }
                       volatile uint64_t result = 0;  // so that the loop is not removed
                       for (const uint64_t sum : sums) result = result ^ sum;
                     });
                   }
                 }));
  }
  return static_cast<double>(bytes) / best_ms / 1e6;
}

double MeasurePeak() {
  constexpr int64_t kSize = 1024;
  const at::Tensor a = at::ones({kSize, kSize}), b = at::ones({kSize, kSize});
  at::Tensor c = at::mm(a, b);
  double best_ms = 1e30;
  for (int repetition = 0; repetition < 5; ++repetition) {
    best_ms = std::min(best_ms, Milliseconds([&] { at::mm_out(c, a, b); }));
  }
  return 2.0 * kSize * kSize * kSize / best_ms / 1e6;
}

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
    result_.bandwidth_gigabytes = MeasureBandwidth(layers_);
    result_.peak_gflops = MeasurePeak();
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
    for (Layer& layer : layers_) {
      layer.experts.reset();  // before there is another
      layer.experts = std::make_shared<const runtime::ExpertWeights>(runtime::PackExperts(
          layer.weights(options_.shape.activation), options_.shape.num_experts, format));
    }
  }

  Layer& NextLayer() { return layers_[next_layer_++ % layers_.size()]; }

  at::Tensor Inputs(Layer& layer, int64_t tokens) {
    if (options_.routing == Routing::kRecorded) {
      const int64_t available = options_.dump->ffns()[layer.dumped_ffn].tokens;
      if (layer.next_input + tokens > available) layer.next_input = 0;
      const int64_t begin = layer.next_input;
      layer.next_input += tokens;
      return options_.dump->ReadInputs(layer.dumped_ffn, begin, begin + tokens);
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
    const Clock::time_point start = Clock::now();
    const auto go_on = [&] {
      const auto done = static_cast<int64_t>(speedup.size());
      if (options_.repetitions > 0) return done < options_.repetitions;
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      return done < 5 || (done < 200 && seconds < options_.seconds_per_row);
    };
    for (bool warming_up = true; warming_up || go_on(); warming_up = false) {
      Layer& layer = NextLayer();
      const at::Tensor x = Inputs(layer, tokens);
      at::Tensor y;  // kept, so that freeing it is not measured
      const double dense = Milliseconds([&] { y = RunDense(layer, shape.activation, x); });
      runtime::SparseFeedForward sparse_ffn(layer.experts, layer.router, ratio);
      const double sparse = Milliseconds([&] { y = sparse_ffn.Forward(x); });
      // The two parts, on weights that have not just been read.
      Layer& other = NextLayer();
      const at::Tensor other_x = Inputs(other, tokens);
      const auto& learned = dynamic_cast<const route::MlpRouter&>(*other.router);
      const runtime::RouterWeights other_router = runtime::PackRouter(learned.w1(), learned.w2());
      const runtime::SelectionRule rule{row.num_selected};
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
    row.roofline_ms = std::max(row.sparse_bytes / result_.bandwidth_gigabytes,
                               row.sparse_flops / result_.peak_gflops) /
                      1e6;
  }

  const BenchmarkOptions& options_;
  at::Generator generator_;
  std::vector<Layer> layers_;
  size_t next_layer_ = 0;
  runtime::WeightFormat format_ = runtime::WeightFormat::kF32;
  at::Tensor common_input_;  // [1, hidden]
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

const std::vector<BenchmarkShape>& BenchmarkShapes() {
  static const std::vector<BenchmarkShape> shapes = {
      {"t5-small", 512, 2048, 64},
      {"t5-base", 768, 3072, 96},
      {"t5-large", 1024, 4096, 128},
      {"t5-3b", 1024, 16384, 512},
      {"t5-v1.1-base", 768, 2048, 64, Activation::kGeluTanh, true},
      {"t5-v1.1-large", 1024, 2816, 88, Activation::kGeluTanh, true},
      {"bert-base", 768, 3072, 96, Activation::kGelu, false, true},
      {"bert-large", 1024, 4096, 128, Activation::kGelu, false, true},
      {"opt-1.3b", 2048, 8192, 256, Activation::kRelu, false, true},
      {"llama-2-7b", 4096, 11008, 344, Activation::kSilu, true},
  };
  return shapes;
}

const BenchmarkShape& GetBenchmarkShape(const std::string& name) {
  std::vector<std::string> names;
  for (const BenchmarkShape& shape : BenchmarkShapes()) {
    if (shape.name == name) return shape;
    names.push_back(shape.name);
  }
  throw UsageError("unknown shape ", Quoted(name), DidYouMean(name, names),
                   "; known: ", Join(names));
}

BenchmarkResult RunBenchmark(const BenchmarkOptions& options, Progress& progress) {
  Check(options);
  return Bench(options).Run(progress);
}

}  // namespace moefy::eval
