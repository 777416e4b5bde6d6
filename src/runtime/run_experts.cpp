// The driver of the sparse FFN: tokens are grouped by expert, then one parallel region computes the
// first product (threads take tiles of neurons) and, after a barrier, the second (threads take
// panels of columns). No two threads write the same number, and each sum has one fixed order.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "moefy/base/error.h"
#include "moefy/runtime/sparse_ffn.h"
#include "runtime/kernels.h"

namespace moefy::runtime {
namespace {

// More tokens than this are run in chunks, which bounds the scratch memory.
constexpr int64_t kChunkTokens = 512;
// Up to so many tokens reading weights is what costs, and a thread reads all it needs of an expert
// in one run; with more, sums that stay in the cache are worth more, one panel after the other.
constexpr int64_t kStreamTokens = 128;
// From so many tokens on, rows of x that share cache lines' places are in each other's way.
constexpr int64_t kCopyTokens = 12;
// Below this much work starting threads costs more than it gives.
constexpr double kSerialFlops = 1e6;

// A part of the first product: some tokens of one expert and one tile of its neurons.
struct Tile {
  int64_t first_neuron;  // in the FFN
  int64_t width;
  int64_t pairs_begin, pairs_end;  // in Buckets::tokens
  int64_t slot;                    // of the first pair's row in Scratch::h
};

// Buffers that are kept between calls of one thread.
struct Scratch {
  std::vector<int64_t> ends;    // [experts] end of each expert's pairs
  std::vector<int32_t> tokens;  // [pairs] sorted by expert, then token
  std::vector<Tile> tiles;      // in the order of their neurons
  std::vector<float> h;         // [slots][kTileNeurons]
  std::vector<uint32_t> live;   // [slots]
  std::vector<float> x;         // [tokens][x_stride]
  std::vector<float> y;         // [threads][panels][tokens][kPanelColumns]
};

template <typename T>
void GrowTo(std::vector<T>& buffer, int64_t size) {
  if (static_cast<int64_t>(buffer.size()) < size) buffer.resize(static_cast<size_t>(size));
}

class Run {
 public:
  Run(const ExpertWeights& experts, const float* x, const int64_t* chosen, int64_t num_tokens,
      int64_t num_chosen, float* y, Scratch& scratch)
      : experts_(experts),
        x_(x),
        x_stride_(experts.hidden),
        num_tokens_(num_tokens),
        y_(y),
        scratch_(scratch) {
    GroupByExpert(chosen, num_tokens * num_chosen, num_chosen);
    CutIntoTiles();
  }

  int64_t num_active_experts() const { return num_active_; }

  void operator()(int max_threads) {
    const int64_t slots = num_slots_;
    const double flops = 4.0 * static_cast<double>(slots * kTileNeurons * experts_.hidden);
    const int threads = flops < kSerialFlops ? 1 : max_threads;
    const int64_t panels = (experts_.padded_hidden + kPanelColumns - 1) / kPanelColumns;
    panels_per_item_ = num_tokens_ <= kStreamTokens ? (panels + threads - 1) / threads : 1;
    num_column_items_ = (panels + panels_per_item_ - 1) / panels_per_item_;
    GrowTo(scratch_.h, slots * kTileNeurons);
    GrowTo(scratch_.live, slots);
    GrowTo(scratch_.y, threads * panels_per_item_ * num_tokens_ * kPanelColumns);
    // Rows a multiple of 4 KB apart would share the same few cache lines' places.
    const bool copy = num_tokens_ > kCopyTokens && experts_.hidden % 256 == 0;
    const float* from = x_;
    if (copy) {
      x_stride_ = experts_.hidden + 16;
      GrowTo(scratch_.x, num_tokens_ * x_stride_);
      x_ = scratch_.x.data();
    }
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
      if (copy) {
#pragma omp for schedule(static)
        for (int64_t t = 0; t < num_tokens_; ++t) {
          std::memcpy(scratch_.x.data() + t * x_stride_, from + t * experts_.hidden,
                      static_cast<size_t>(experts_.hidden) * sizeof(float));
        }
      }
#pragma omp for schedule(dynamic)
      for (size_t i = 0; i < scratch_.tiles.size(); ++i) RunFirstProduct(scratch_.tiles[i]);
#pragma omp for schedule(dynamic)
      for (int64_t i = 0; i < num_column_items_; ++i) RunSecondProduct(i, omp_get_thread_num());
    }
  }

 private:
  void GroupByExpert(const int64_t* chosen, int64_t num_pairs, int64_t num_chosen) {
    std::vector<int64_t>& ends = scratch_.ends;
    ends.assign(static_cast<size_t>(experts_.num_experts) + 1, 0);
    for (int64_t i = 0; i < num_pairs; ++i) {
      MOEFY_CHECK(chosen[i] >= 0 && chosen[i] < experts_.num_experts);
      ++ends[static_cast<size_t>(chosen[i]) + 1];
    }
    for (size_t e = 1; e < ends.size(); ++e) ends[e] += ends[e - 1];
    GrowTo(scratch_.tokens, num_pairs);
    // ends[e] is where the next token of e goes, and in the end where e's tokens end.
    for (int64_t i = 0; i < num_pairs; ++i) {
      scratch_.tokens[static_cast<size_t>(ends[static_cast<size_t>(chosen[i])]++)] =
          static_cast<int32_t>(i / num_chosen);
    }
  }

  void CutIntoTiles() {
    scratch_.tiles.clear();
    int64_t begin = 0;
    for (int64_t expert = 0; expert < experts_.num_experts; ++expert) {
      const int64_t end = scratch_.ends[static_cast<size_t>(expert)];
      if (end == begin) continue;
      ++num_active_;
      const int64_t last = (expert + 1) * experts_.neurons_per_expert;
      for (int64_t n = last - experts_.neurons_per_expert; n < last; n += kTileNeurons) {
        scratch_.tiles.push_back({n, std::min(kTileNeurons, last - n), begin, end, num_slots_});
        num_slots_ += end - begin;
      }
      begin = end;
    }
  }

  void RunFirstProduct(const Tile& tile) const {
    FirstProductArgs args;
    args.x = x_;
    args.x_stride = x_stride_;
    args.tokens = scratch_.tokens.data() + tile.pairs_begin;
    args.num_tokens = tile.pairs_end - tile.pairs_begin;
    args.hidden = experts_.hidden;
    args.width = tile.width;
    const int64_t offset = tile.first_neuron * experts_.hidden;
    args.w_in = experts_.w_in + offset;
    if (experts_.w_gate) args.w_gate = experts_.w_gate + offset;
    if (experts_.b_in) args.b_in = experts_.b_in + tile.first_neuron;
    args.activation = experts_.activation;
    args.h = scratch_.h.data() + tile.slot * kTileNeurons;
    args.live = scratch_.live.data() + tile.slot;
    FirstProduct(args);
  }

  // Columns [item * panels_per_item, ...) of y, all tokens.
  void RunSecondProduct(int64_t item, int thread) const {
    const int64_t first = item * panels_per_item_ * kPanelColumns;
    const int64_t last = std::min(experts_.padded_hidden, first + panels_per_item_ * kPanelColumns);
    const int64_t panel_size = num_tokens_ * kPanelColumns;
    float* const sums = scratch_.y.data() + thread * panels_per_item_ * panel_size;
    for (int64_t column = first; column < last; column += kPanelColumns) {
      const int64_t columns = std::min(kPanelColumns, last - column);
      float* row = sums + (column - first) / kPanelColumns * panel_size;
      for (int64_t t = 0; t < num_tokens_; ++t, row += kPanelColumns) {
        if (experts_.b_out) {
          std::copy_n(experts_.b_out + column, columns, row);
        } else {
          std::fill_n(row, columns, 0.0f);
        }
      }
    }
    SecondProductArgs args;
    args.sparse = experts_.activation == model::Activation::kRelu;
    for (const Tile& tile : scratch_.tiles) {
      args.h = scratch_.h.data() + tile.slot * kTileNeurons;
      args.live = scratch_.live.data() + tile.slot;
      args.tokens = scratch_.tokens.data() + tile.pairs_begin;
      args.num_tokens = tile.pairs_end - tile.pairs_begin;
      args.width = tile.width;
      const float* w_out = experts_.w_out + tile.first_neuron * experts_.padded_hidden;
      for (int64_t column = first; column < last; column += kPanelColumns) {
        args.columns = std::min(kPanelColumns, last - column);
        args.w_out = w_out + column * tile.width;
        args.y = sums + (column - first) / kPanelColumns * panel_size;
        SecondProduct(args);
      }
    }
    for (int64_t column = first; column < std::min(last, experts_.hidden);
         column += kPanelColumns) {
      const int64_t columns = std::min(kPanelColumns, experts_.hidden - column);
      const float* row = sums + (column - first) / kPanelColumns * panel_size;
      for (int64_t t = 0; t < num_tokens_; ++t, row += kPanelColumns) {
        std::copy_n(row, columns, y_ + t * experts_.hidden + column);
      }
    }
  }

  const ExpertWeights& experts_;
  const float* x_;
  int64_t x_stride_;
  int64_t num_tokens_;
  float* y_;
  Scratch& scratch_;
  int64_t num_active_ = 0;
  int64_t num_slots_ = 0;
  int64_t panels_per_item_ = 1;
  int64_t num_column_items_ = 0;
};

}  // namespace

at::Tensor RunExperts(const ExpertWeights& experts, const at::Tensor& x, const at::Tensor& chosen,
                      SparseCounters* counters) {
  MOEFY_CHECK(x.dim() == 2 && x.size(1) == experts.hidden && x.scalar_type() == at::kFloat);
  MOEFY_CHECK(chosen.dim() == 2 && chosen.size(0) == x.size(0) &&
              chosen.scalar_type() == at::kLong);
  const at::Tensor inputs = x.contiguous();        // [tokens, hidden]
  const at::Tensor choices = chosen.contiguous();  // [tokens, k]
  at::Tensor y = at::empty_like(inputs, at::MemoryFormat::Contiguous);
  thread_local Scratch scratch;
  const int64_t num_tokens = x.size(0), num_chosen = chosen.size(1);
  int64_t expert_loads = 0;
  for (int64_t begin = 0; begin < num_tokens; begin += kChunkTokens) {
    const int64_t count = std::min(kChunkTokens, num_tokens - begin);
    Run run(experts, inputs.data_ptr<float>() + begin * experts.hidden,
            choices.data_ptr<int64_t>() + begin * num_chosen, count, num_chosen,
            y.data_ptr<float>() + begin * experts.hidden, scratch);
    run(at::get_num_threads());
    expert_loads += run.num_active_experts();
  }
  if (counters) {
    const int64_t pairs = num_tokens * num_chosen;
    const int64_t matrices = experts.w_gate ? 3 : 2;
    counters->tokens += num_tokens;
    counters->expert_tokens += pairs;
    counters->neurons_evaluated += pairs * experts.neurons_per_expert;
    counters->neurons_total += num_tokens * experts.num_experts * experts.neurons_per_expert;
    counters->expert_loads += expert_loads;
    counters->weight_bytes_read += expert_loads * experts.ExpertBytes();
    counters->expert_flops +=
        2.0 * static_cast<double>(pairs * experts.neurons_per_expert * matrices * experts.hidden);
  }
  return y;
}

std::string InstructionSet() { return ChosenInstructionSet(); }

SparseCounters& SparseCounters::operator+=(const SparseCounters& other) {
  tokens += other.tokens;
  expert_tokens += other.expert_tokens;
  neurons_evaluated += other.neurons_evaluated;
  neurons_total += other.neurons_total;
  expert_loads += other.expert_loads;
  weight_bytes_read += other.weight_bytes_read;
  router_flops += other.router_flops;
  expert_flops += other.expert_flops;
  seconds += other.seconds;
  return *this;
}

}  // namespace moefy::runtime
