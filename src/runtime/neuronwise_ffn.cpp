#include "runtime/neuronwise_ffn.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <tuple>

#include "base/buffer.h"
#include "moefy/base/error.h"
#include "route/first_product_router.h"
#include "route/top_k.h"
#include "runtime/activate_rows.h"
#include "runtime/gather_rows.h"
#include "runtime/select_experts.h"

namespace moefy::runtime {
namespace {

// What chosen rows add to y is summed in so many parts, whatever the number of threads is, so that
// the result does not depend on it.
constexpr int64_t kParts = 8;
// Below so many chosen weights starting threads costs more than it gives.
constexpr int64_t kSerialRowWeights = 1 << 15;

WeightFormat RowFormat(WeightFormat format) {
  return IsQuantized(format) ? WeightFormat::kInt8 : format;
}

// Writes w [neurons, hidden] as rows, and their scales where the format has them.
void WriteRows(const at::Tensor& w, WeightFormat format, std::byte* rows, float* scales) {
  at::Tensor values = w;
  at::ScalarType type = at::kFloat;
  if (format == WeightFormat::kBf16) type = at::kBFloat16;
  if (format == WeightFormat::kF16) type = at::kHalf;
  if (format == WeightFormat::kInt8) {
    type = at::kChar;
    const at::Tensor largest = std::get<0>(w.abs().max(1)).div_(127).clamp_min_(1e-30);
    std::copy_n(largest.data_ptr<float>(), largest.numel(), scales);
    values = (w / largest.unsqueeze(1)).round_().clamp_(-127, 127);
  }
  at::from_blob(rows, w.sizes(), type).copy_(values);
}

// The product that does not come first, as a linear map.
std::unique_ptr<PackedLinear> OtherMap(const model::FfnWeights& ffn, bool gate_first,
                                       WeightFormat format) {
  if (!ffn.w_gate.defined()) return nullptr;
  return std::make_unique<PackedLinear>(gate_first ? ffn.w_in : ffn.w_gate,
                                        gate_first ? ffn.b_in : ffn.b_gate, format);
}

// Which products go through the activation.
bool MapsFirst(const NeuronwiseWeights& w) { return !w.gated || w.gate_first || w.map.on_both; }
bool MapsOther(const NeuronwiseWeights& w) { return w.gated && (!w.gate_first || w.map.on_both); }

// Puts the neurons that the rule chooses for a token into `chosen`, in their order, and returns how
// many they are. `first` is the token's product, after the activation where that is applied;
// `scores` and `chosen` have room for all neurons.
int64_t Choose(const NeuronwiseWeights& w, const route::SelectionRule& rule, const float* first,
               float* scores, int32_t* chosen) {
  const float* const worth = w.worth.data_ptr<float>();
  for (int64_t n = 0; n < w.neurons; ++n) scores[n] = std::abs(first[n]) * worth[n];
  if (rule.num_selected < w.neurons) {
    route::SelectTopKInOrder(scores, w.neurons, rule.num_selected, chosen);
    return rule.num_selected;
  }
  int64_t count = 0;
  const float least = LeastScore(scores, w.neurons, rule);
  for (int64_t n = 0; n < w.neurons; ++n) {
    chosen[count] = static_cast<int32_t>(n);
    count += !(scores[n] < least);  // NaN is chosen, and shows
  }
  return count;
}

const float* DataOf(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.data_ptr<float>() : nullptr;
}

}  // namespace

NeuronwiseWeights::NeuronwiseWeights(const model::FfnWeights& ffn, const at::Tensor& all_worth,
                                     WeightFormat format)
    : neurons(ffn.num_neurons()),
      hidden(ffn.hidden()),
      map(MapOf(ffn.activation)),
      gated(ffn.w_gate.defined()),
      gate_first(gated && route::FirstProductIndex(all_worth) == 0),
      first(gate_first ? ffn.w_gate : ffn.w_in, gate_first ? ffn.b_gate : ffn.b_in, format),
      worth(all_worth[route::FirstProductIndex(all_worth)].contiguous()),
      other(OtherMap(ffn, gate_first, format)),
      out(ffn.w_out.t().contiguous(), ffn.b_out,
          format == WeightFormat::kInt4 ? WeightFormat::kInt8 : format),
      row_format(RowFormat(format)),
      other_bias(gate_first ? ffn.b_in : ffn.b_gate),
      out_bias(ffn.b_out) {
  // One allocation, because rows that are read here and there want large pages.
  WeightArena arena;
  const int64_t bytes = neurons * hidden * BytesPerWeight(row_format);
  const int64_t out_at = arena.Reserve(bytes), other_at = gated ? arena.Reserve(bytes) : 0;
  const int64_t scale_bytes = neurons * int64_t{sizeof(float)};
  const int64_t out_scales = arena.Reserve(scale_bytes), other_scales = arena.Reserve(scale_bytes);
  rows = arena.Create().memory;
  const auto write = [&](const at::Tensor& w, int64_t at, int64_t scales_at) {
    auto* const to = static_cast<std::byte*>(rows.get());
    auto* const scales = reinterpret_cast<float*>(to + scales_at);
    WriteRows(w, row_format, to + at, scales);
    return NeuronRows{to + at, row_format == WeightFormat::kInt8 ? scales : nullptr};
  };
  out_rows = write(ffn.w_out, out_at, out_scales);
  if (gated) other_rows = write(gate_first ? ffn.w_in : ffn.w_gate, other_at, other_scales);
}

int64_t NeuronwiseWeights::BytesPerNeuron() const {
  return hidden * BytesPerWeight(row_format) * (gated ? 2 : 1);
}

NeuronwiseFeedForward::NeuronwiseFeedForward(std::shared_ptr<const NeuronwiseWeights> weights,
                                             const route::SelectionRule& rule)
    : weights_(std::move(weights)), rule_(rule) {
  MOEFY_CHECK(rule.num_shared == 0 && rule.num_selected <= weights_->neurons);
}

void NeuronwiseFeedForward::Run(const float* x, int64_t tokens, float* y,
                                SparseCounters& counters) {
  const NeuronwiseWeights& w = *weights_;
  // Of more tokens, most rows are somebody's, and products of whole matrices are faster.
  const bool all = rule_.num_selected == w.neurons && rule_.is_top_k();
  int64_t evaluated = 0;
  if (tokens == 1 && !all) {
    evaluated = RunChosen(x, y);
    counters.weight_bytes_read += evaluated * w.BytesPerNeuron();
  } else {
    evaluated = RunDensely(x, tokens, y);
    counters.weight_bytes_read += w.out.WeightBytes() + (w.other ? w.other->WeightBytes() : 0);
  }
  counters.weight_bytes_read += w.first.WeightBytes();
  counters.tokens += tokens;
  counters.neurons_evaluated += evaluated;
  counters.neurons_total += tokens * w.neurons;
  const double flops_per_row = 2.0 * static_cast<double>(w.hidden);
  counters.router_flops += flops_per_row * static_cast<double>(tokens * w.neurons);
  counters.expert_flops += flops_per_row * static_cast<double>(evaluated * (w.gated ? 2 : 1));
}

int64_t NeuronwiseFeedForward::RunChosen(const float* x, float* y) {
  const NeuronwiseWeights& w = *weights_;
  GrowTo(first_, w.neurons);
  w.first.ForwardInto(x, 1, first_.data());
  if (MapsFirst(w)) ActivateRows(w.map, first_.data(), 1, w.neurons);
  GrowTo(scores_, w.neurons);
  GrowTo(chosen_, w.neurons);
  const int64_t count = Choose(w, rule_, first_.data(), scores_.data(), chosen_.data());
  GrowTo(factors_, count);
  GrowTo(sums_, kParts * w.hidden);
  std::fill_n(sums_.data(), kParts * w.hidden, 0.0f);
  const float* const bias = DataOf(w.other_bias);
  const float* const out_scales = w.out_rows.scales;
  const float* const other_scales = w.other_rows.scales;
  const int threads = count * w.hidden < kSerialRowWeights ? 1 : at::get_num_threads();
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t part = 0; part < kParts; ++part) {
    const int64_t begin = count * part / kParts, end = count * (part + 1) / kParts;
    GatheredRows rows{nullptr, w.row_format, w.hidden, chosen_.data() + begin, end - begin};
    float* const factors = factors_.data() + begin;
    if (w.gated) {
      rows.rows = w.other_rows.rows;
      DotGathered(rows, x, factors);
      for (int64_t i = 0; i < end - begin; ++i) {
        const int32_t n = rows.chosen[i];
        if (other_scales) factors[i] *= other_scales[n];
        if (bias) factors[i] += bias[n];
      }
      if (MapsOther(w)) ActivateRows(w.map, factors, 1, end - begin);
    } else {
      std::fill_n(factors, end - begin, 1.0f);
    }
    for (int64_t i = 0; i < end - begin; ++i) {
      const int32_t n = rows.chosen[i];
      factors[i] *= first_[n] * (out_scales ? out_scales[n] : 1.0f);
    }
    rows.rows = w.out_rows.rows;
    AddGathered(rows, factors, sums_.data() + part * w.hidden);
  }
  const float* const out_bias = DataOf(w.out_bias);
  for (int64_t c = 0; c < w.hidden; ++c) {
    float total = out_bias ? out_bias[c] : 0.0f;
    for (int64_t part = 0; part < kParts; ++part) total += sums_[part * w.hidden + c];
    y[c] = total;
  }
  return count;
}

int64_t NeuronwiseFeedForward::RunDensely(const float* x, int64_t tokens, float* y) {
  constexpr int64_t kTokens = 512;  // products are kept for so many at a time
  const NeuronwiseWeights& w = *weights_;
  std::atomic<int64_t> evaluated = 0;
  GrowTo(first_, std::min(tokens, kTokens) * w.neurons);
  if (w.gated) GrowTo(other_, std::min(tokens, kTokens) * w.neurons);
  for (int64_t begin = 0; begin < tokens; begin += kTokens) {
    const int64_t count = std::min(tokens - begin, kTokens);
    const float* const rows = x + begin * w.hidden;
    w.first.ForwardInto(rows, count, first_.data());
    if (w.gated) w.other->ForwardInto(rows, count, other_.data());
    at::parallel_for(0, count, 8, [&](int64_t first_token, int64_t last_token) {
      std::vector<float> scores(static_cast<size_t>(w.neurons)), kept(scores.size());
      std::vector<int32_t> chosen(scores.size());
      for (int64_t t = first_token; t < last_token; ++t) {
        float* const first = first_.data() + t * w.neurons;
        float* const other = w.gated ? other_.data() + t * w.neurons : nullptr;
        if (MapsFirst(w)) ActivateRows(w.map, first, 1, w.neurons);
        if (MapsOther(w)) ActivateRows(w.map, other, 1, w.neurons);
        const int64_t num_chosen = Choose(w, rule_, first, scores.data(), chosen.data());
        std::fill(kept.begin(), kept.end(), 0.0f);
        for (int64_t i = 0; i < num_chosen; ++i) {
          const int32_t n = chosen[static_cast<size_t>(i)];
          kept[static_cast<size_t>(n)] = first[n] * (other ? other[n] : 1.0f);
        }
        evaluated += num_chosen;
        std::copy(kept.begin(), kept.end(), first);
      }
    });
    w.out.ForwardInto(first_.data(), count, y + begin * w.hidden);
  }
  return evaluated;
}

}  // namespace moefy::runtime
