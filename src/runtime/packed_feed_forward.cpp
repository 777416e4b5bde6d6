#include "runtime/packed_feed_forward.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/stopwatch.h"
#include "moefy/base/error.h"
#include "runtime/activate_rows.h"
#include "runtime/expert_weights.h"
#include "runtime/first_product.h"
#include "runtime/packed_linear.h"
#include "runtime/quantize.h"
#include "runtime/tile_items.h"
#include "runtime/weight_tiles.h"

namespace moefy::runtime {
namespace {

// What enters W_out is kept for so many tokens at a time: in 8 bits, and in the other formats, of
// which BF16 and F16 are widened anew for each call.
constexpr int64_t kHiddenTokens = 512, kFloatTokens = 4096;

// As many experts as give each at least a tile of neurons, because experts are packed in parallel.
ExpertWeights PackAll(const model::FfnWeights& ffn, WeightFormat format, const PackedSlot& slot) {
  const int64_t neurons = ffn.num_neurons();
  int64_t experts = std::max<int64_t>(1, neurons / kTileNeurons);
  while (neurons % experts != 0) --experts;
  return PackExperts(ffn, experts, format, slot.Of("all"));
}

// W_out as a linear map.
PackedLinear PackOut(const model::FfnWeights& ffn, WeightFormat format,
                     const PackedSlot& slot = {}) {
  return {ffn.w_out.t(), ffn.b_out, format == WeightFormat::kInt4 ? WeightFormat::kInt8 : format,
          slot.Of("w_out")};
}

class AllExperts final : public PackedFeedForward {
 public:
  explicit AllExperts(ExpertWeights weights) : weights_(std::move(weights)) {}

 private:
  void Run(const float* x, int64_t tokens, float* y, SparseCounters& counters) override {
    RunAllExpertRows(weights_, x, tokens, y, &counters);
  }

  ExpertWeights weights_;
};

// Adds one call of the linear maps for `tokens` tokens.
void Count(int64_t tokens, int64_t neurons, int64_t hidden, bool gated, int64_t weight_bytes,
           SparseCounters& counters) {
  counters.weight_bytes_read += weight_bytes;
  counters.tokens += tokens;
  counters.neurons_evaluated += tokens * neurons;
  counters.neurons_total += tokens * neurons;
  counters.expert_flops +=
      2.0 * static_cast<double>(tokens) * static_cast<double>(hidden * neurons * (gated ? 3 : 2));
}

// F32, BF16, F16: the activation is a pass of its own between two linear maps.
class FloatMaps final : public PackedFeedForward {
 public:
  FloatMaps(const model::FfnWeights& ffn, WeightFormat format)
      : map_(MapOf(ffn.activation)),
        gated_(ffn.w_gate.defined()),
        neurons_(ffn.num_neurons()),
        first_(gated_ ? at::cat({ffn.w_gate, ffn.w_in}) : ffn.w_in, FirstBias(ffn), format),
        second_(PackOut(ffn, format)) {}

 private:
  static at::Tensor FirstBias(const model::FfnWeights& ffn) {
    if (!ffn.w_gate.defined()) return ffn.b_in;
    if (!ffn.b_in.defined() && !ffn.b_gate.defined()) return {};
    const auto or_zeros = [&](const at::Tensor& bias) {
      return bias.defined() ? bias : at::zeros({ffn.num_neurons()}, at::kFloat);
    };
    return at::cat({or_zeros(ffn.b_gate), or_zeros(ffn.b_in)});
  }

  void Run(const float* x, int64_t tokens, float* y, SparseCounters& counters) override {
    const int64_t hidden = second_.out();
    GrowTo(h_, std::min(tokens, kFloatTokens) * first_.out());
    if (gated_) GrowTo(gated_h_, std::min(tokens, kFloatTokens) * neurons_);
    for (int64_t t = 0; t < tokens; t += kFloatTokens) {
      const int64_t count = std::min(tokens - t, kFloatTokens);
      RunSome(x + t * hidden, count, y + t * hidden);
      Count(count, neurons_, hidden, gated_, first_.WeightBytes() + second_.WeightBytes(),
            counters);
    }
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

// INT8, INT4: what enters W_out is mapped and put into 8 bits as soon as a tile of it is there.
class QuantizedMaps final : public PackedFeedForward {
 public:
  QuantizedMaps(const model::FfnWeights& ffn, WeightFormat format, const PackedSlot& slot)
      : map_(MapOf(ffn.activation)),
        in_(PackLinearTiles(ffn.w_in, format, slot.Of("w_in"))),
        b_in_(PadBias(ffn.b_in)),
        b_gate_(PadBias(ffn.b_gate)),
        second_(PackOut(ffn, format, slot)) {
    if (ffn.w_gate.defined()) gate_ = PackLinearTiles(ffn.w_gate, format, slot.Of("w_gate"));
  }

 private:
  // Kernels read biases of whole tiles.
  static at::Tensor PadBias(const at::Tensor& bias) {
    return bias.defined() ? at::constant_pad_nd(bias, {0, kTileNeurons}).contiguous() : bias;
  }

  void Run(const float* x, int64_t tokens, float* y, SparseCounters& counters) override {
    for (int64_t t = 0; t < tokens; t += kHiddenTokens) {
      const int64_t count = std::min(tokens - t, kHiddenTokens);
      RunSome(x + t * in_.in, count, y + t * in_.in);
      Count(count, in_.out, in_.in, gate_.w != nullptr,
            in_.bytes + gate_.bytes + second_.WeightBytes(), counters);
    }
  }

  void RunSome(const float* x, int64_t tokens, float* y) {
    const int64_t tiles = (in_.out + kTileNeurons - 1) / kTileNeurons;
    const QuantizedRows x_rows = x_.Rows(tokens, QuantizedSize(in_.in));
    const QuantizedRows h_rows = h_.Rows(tokens, tiles * kTileNeurons, kTileNeurons);
    if (all_rows_.empty()) {
      all_rows_.resize(TileItems::kRowGroup);
      std::iota(all_rows_.begin(), all_rows_.end(), 0);
    }
    const TileItems items{tokens, tiles, /*rows_per_item=*/120};
    const int64_t num_items = items.count();
    const auto make = [&](int64_t row, int64_t rows, int64_t tile) {
      MakeHidden(x_rows.From(row), rows, tile, h_rows.From(row, tile));
    };
    const int threads = at::get_num_threads();
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
#pragma omp for schedule(static)
      for (int64_t t = 0; t < tokens; ++t) QuantizeRow(x + t * in_.in, in_.in, x_rows, t);
#pragma omp for schedule(dynamic)
      for (int64_t item = 0; item < num_items; ++item) items.ForEach(item, make);
    }
    second_.ForwardQuantized(h_rows, tokens, y);
  }

  // One tile of what enters W_out.
  void MakeHidden(const QuantizedRows& x, int64_t rows, int64_t tile, const QuantizedRows& h) {
    const int64_t n = tile * kTileNeurons;
    const int64_t offset = n * TileRowBytes(in_.format, in_.in);
    const auto part = [&](const float* values) { return values ? values + n : nullptr; };
    const auto data = [](const at::Tensor& bias) {
      return bias.defined() ? bias.data_ptr<float>() : nullptr;
    };
    FirstProductArgs args;
    args.quantized = x;
    args.tokens = all_rows_.data();
    args.num_tokens = rows;
    args.hidden = in_.in;
    args.width = std::min(kTileNeurons, in_.out - n);
    args.format = in_.format;
    args.w_in = in_.w + offset;
    args.in_scale = part(in_.scale);
    args.b_in = part(data(b_in_));
    if (gate_.w) {
      args.w_gate = gate_.w + offset;
      args.gate_scale = part(gate_.scale);
      args.b_gate = part(data(b_gate_));
    }
    args.map = map_;
    args.h_quantized = h;
    FirstProduct(args);
  }

  Map map_;
  LinearTiles in_, gate_;
  at::Tensor b_in_, b_gate_;
  PackedLinear second_;
  QuantizedBuffer x_, h_;
  std::vector<int32_t> all_rows_;  // 0, 1, 2, ...
};

}  // namespace

at::Tensor PackedFeedForward::Forward(const at::Tensor& x) {
  MOEFY_CHECK(x.dim() == 2 && x.scalar_type() == at::kFloat);
  const at::Tensor in = x.contiguous();
  at::Tensor y = at::empty_like(in, at::MemoryFormat::Contiguous);
  ForwardInto(in.data_ptr<float>(), x.size(0), x.size(1), y.data_ptr<float>());
  return y;
}

void PackedFeedForward::ForwardInto(const float* x, int64_t tokens, int64_t, float* y) {
  const Stopwatch stopwatch;
  Run(x, tokens, y, counters_);
  counters_.seconds += stopwatch.Seconds();
}

std::unique_ptr<PackedFeedForward> PackFeedForward(const model::FfnWeights& ffn,
                                                   WeightFormat format, const PackedSlot& slot) {
  if (ffn.activation.makes_zeros()) return std::make_unique<AllExperts>(PackAll(ffn, format, slot));
  if (IsQuantized(format)) return std::make_unique<QuantizedMaps>(ffn, format, slot);
  return std::make_unique<FloatMaps>(ffn, format);
}

}  // namespace moefy::runtime
