#include "runtime/dense_model.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/heap.h"
#include "base/stopwatch.h"
#include "moefy/base/error.h"
#include "runtime/activate_rows.h"
#include "runtime/expert_weights.h"
#include "runtime/packed_linear.h"
#include "runtime/packed_model.h"

namespace moefy::runtime {
namespace {

// Linear maps keep what enters W_out for so many tokens at a time.
constexpr int64_t kHiddenTokens = 512;

// As many experts as give each at least a tile of neurons, because experts are packed in parallel.
ExpertWeights PackAll(const model::FfnWeights& ffn, WeightFormat format) {
  const int64_t neurons = ffn.num_neurons();
  int64_t experts = std::max<int64_t>(1, neurons / kTileNeurons);
  while (neurons % experts != 0) --experts;
  return PackExperts(ffn, experts, format);
}

class AllExperts final : public PackedFeedForward {
 public:
  explicit AllExperts(ExpertWeights weights) : weights_(std::move(weights)) {}
  void ForwardInto(const float* x, int64_t tokens, int64_t hidden, float* y) override {
    MOEFY_CHECK(hidden == weights_.hidden);
    const Stopwatch stopwatch;
    RunAllExpertRows(weights_, x, tokens, y, &counters_);
    counters_.seconds += stopwatch.Seconds();
  }

 private:
  ExpertWeights weights_;
};

class LinearMaps final : public PackedFeedForward {
 public:
  LinearMaps(const model::FfnWeights& ffn, WeightFormat format)
      : map_(MapOf(ffn.activation)),
        gated_(ffn.w_gate.defined()),
        neurons_(ffn.num_neurons()),
        first_(gated_ ? at::cat({ffn.w_gate, ffn.w_in}) : ffn.w_in.clone(), FirstBias(ffn), format),
        second_(ffn.w_out.t().clone(at::MemoryFormat::Contiguous), ffn.b_out, format) {}

  void ForwardInto(const float* x, int64_t tokens, int64_t hidden, float* y) override {
    MOEFY_CHECK(hidden == second_.out());
    const Stopwatch stopwatch;
    GrowTo(h_, std::min(tokens, kHiddenTokens) * first_.out());
    if (gated_) GrowTo(gated_h_, std::min(tokens, kHiddenTokens) * neurons_);
    for (int64_t t = 0; t < tokens; t += kHiddenTokens) {
      RunSome(x + t * hidden, std::min(tokens - t, kHiddenTokens), y + t * hidden);
      counters_.weight_bytes_read += first_.WeightBytes() + second_.WeightBytes();
    }
    counters_.tokens += tokens;
    counters_.neurons_evaluated += tokens * neurons_;
    counters_.neurons_total += tokens * neurons_;
    counters_.expert_flops +=
        2.0 * static_cast<double>(tokens) * static_cast<double>(hidden * (first_.out() + neurons_));
    counters_.seconds += stopwatch.Seconds();
  }

 private:
  static at::Tensor FirstBias(const model::FfnWeights& ffn) {
    if (!ffn.w_gate.defined()) return ffn.b_in;
    if (!ffn.b_in.defined() && !ffn.b_gate.defined()) return {};
    const auto or_zeros = [&](const at::Tensor& bias) {
      return bias.defined() ? bias : at::zeros({ffn.num_neurons()}, at::kFloat);
    };
    return at::cat({or_zeros(ffn.b_gate), or_zeros(ffn.b_in)});
  }

  void RunSome(const float* x, int64_t tokens, float* y) {
    constexpr int64_t kRows = 8;  // of a thread at a time
    float* const h = h_.data();
    float* const out = gated_ ? gated_h_.data() : h;
    first_.ForwardInto(x, tokens, h);
    const int threads = tokens > kRows ? at::get_num_threads() : 1;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t row = 0; row < tokens; row += kRows) {
      const int64_t rows = std::min(kRows, tokens - row);
      if (gated_) {
        ActivateGatedRows(map_, h + row * first_.out(), rows, neurons_, out + row * neurons_);
      } else {
        ActivateRows(map_, h + row * neurons_, rows, neurons_);
      }
    }
    second_.ForwardInto(out, tokens, y);
  }

  Map map_;
  bool gated_;
  int64_t neurons_;
  PackedLinear first_, second_;  // W_gate above W_in; W_out
  std::vector<float> h_;         // [tokens][first_.out()]
  std::vector<float> gated_h_;   // [tokens][neurons_], of a gated FFN
};

}  // namespace

at::Tensor PackedFeedForward::Forward(const at::Tensor& x) {
  MOEFY_CHECK(x.dim() == 2 && x.scalar_type() == at::kFloat);
  const at::Tensor in = x.contiguous();
  at::Tensor y = at::empty_like(in, at::MemoryFormat::Contiguous);
  ForwardInto(in.data_ptr<float>(), x.size(0), x.size(1), y.data_ptr<float>());
  return y;
}

std::unique_ptr<PackedFeedForward> PackFeedForward(const model::FfnWeights& ffn,
                                                   WeightFormat format) {
  if (ffn.activation.makes_zeros() || IsQuantized(format)) {
    return std::make_unique<AllExperts>(PackAll(ffn, format));
  }
  return std::make_unique<LinearMaps>(ffn, format);
}

model::Transformer LoadPackedTransformer(const io::Checkpoint& checkpoint, WeightFormat format,
                                         std::vector<std::string>* warnings, Progress& progress) {
  model::Transformer transformer =
      model::LoadTransformer(checkpoint, warnings, model::Parts::kForExchange);
  UseKernels(transformer, format, /*copy=*/true);
  // What packing frees would stay with the process, and add up to a fifth of the weights.
  ReturnFreedMemory();
  progress.Begin("packing FFNs", transformer.num_ffns(), "FFNs");
  for (size_t i = 0; i < transformer.num_ffns(); ++i) {
    transformer.ExchangeFeedForward(
        i, PackFeedForward(model::ReadFfnWeights(checkpoint, transformer.ffn_spec(i)), format));
    ReturnFreedMemory();
    progress.Advance(1);
  }
  progress.End(WeightFormatName(format));
  return transformer;
}

}  // namespace moefy::runtime
