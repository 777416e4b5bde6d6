// One call of the sparse FFN: up to 512 tokens in one parallel region. The router's two products
// and the selection (where there is a router); the tokens grouped by expert; the first product; the
// second. Two threads never write to the same place, and each sum has one fixed order.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "moefy/base/error.h"
#include "moefy/route/selection.h"
#include "moefy/runtime/sparse_ffn.h"
#include "runtime/kernels.h"
#include "runtime/scratch.h"

namespace moefy::runtime {
namespace {

// More tokens than this are run in chunks, which bounds the scratch memory.
constexpr int64_t kChunkTokens = 512;
// Up to so many tokens reading weights is what costs, and a thread reads all it needs of an expert
// in one run; with more, sums that stay in the cache are worth more, one panel after the other.
constexpr int64_t kStreamTokens = 128;
// From so many tokens on, rows of x that share cache lines' places are in each other's way.
constexpr int64_t kCopyTokens = 12;
// Tokens of one item of the router's work: rows of x that stay in the L2 cache.
constexpr int64_t kRouterTokens = 60;
// Below this much work starting threads costs more than it gives.
constexpr double kSerialFlops = 1e6;

int64_t WholeTiles(int64_t count) {
  return (count + kTileNeurons - 1) / kTileNeurons * kTileNeurons;
}

// The experts of one token into out [shared + selected]. `keys` is room for a number per expert.
void SelectRow(const float* scores, int64_t num_experts, const SelectionRule& rule, uint64_t* keys,
               int32_t* out) {
  for (int64_t e = 0; e < rule.num_shared; ++e) *out++ = static_cast<int32_t>(e);
  route::SelectTopK(scores, rule.num_shared, num_experts, rule.num_selected, keys, out);
  for (int64_t i = 0; i < rule.num_selected; ++i) {
    if (scores[out[i]] < rule.threshold) out[i] = -1;
  }
}

class Run {
 public:
  Run(const ExpertWeights& experts, const float* x, int64_t num_tokens, float* y, Scratch& scratch)
      : experts_(experts),
        x_(x),
        x_stride_(experts.hidden),
        num_tokens_(num_tokens),
        y_(y),
        scratch_(scratch) {}

  // What to do before Execute, one of:
  void RunAll() { all_ = true; }
  void RunChosen(const int64_t* chosen, int64_t num_chosen) {
    num_chosen_ = num_chosen;
    GrowTo(scratch_.chosen, num_tokens_ * num_chosen);
    for (int64_t i = 0; i < num_tokens_ * num_chosen; ++i) {
      MOEFY_CHECK(chosen[i] >= -1 && chosen[i] < experts_.num_experts);
      scratch_.chosen[static_cast<size_t>(i)] = static_cast<int32_t>(chosen[i]);
    }
  }
  void RunRouted(const RouterWeights& router, const SelectionRule& rule) {
    router_ = &router;
    rule_ = rule;
    num_chosen_ = rule.num_shared + rule.num_selected;
  }

  // `only_route`: the chosen experts stay in the scratch, and that is all.
  void Execute(int max_threads, bool only_route = false) {
    const int64_t experts_per_token = all_ ? experts_.num_experts : num_chosen_;
    const double flops = 4.0 * static_cast<double>(num_tokens_ * experts_per_token *
                                                   experts_.neurons_per_expert * experts_.hidden);
    const int threads = flops < kSerialFlops ? 1 : max_threads;
    Prepare(threads);
    if (threads == 1) return Work(1, only_route);
#pragma omp parallel num_threads(threads)
    Work(threads, only_route);
  }

  int64_t num_active_experts() const { return num_active_; }
  int64_t num_pairs() const { return num_pairs_; }

 private:
  void Prepare(int threads) {
    // Rows a multiple of 4 KB apart would share the same few cache lines' places.
    given_x_ = x_;
    copy_ = num_tokens_ > kCopyTokens && experts_.hidden % 256 == 0;
    if (copy_) {
      x_stride_ = experts_.hidden + 16;
      GrowTo(scratch_.x, num_tokens_ * x_stride_);
      x_ = scratch_.x.data();
    }
    if (static_cast<int64_t>(scratch_.all_tokens.size()) < kChunkTokens) {
      scratch_.all_tokens.resize(kChunkTokens);
      std::iota(scratch_.all_tokens.begin(), scratch_.all_tokens.end(), 0);
    }
    if (!router_) return;
    router_stride_ = WholeTiles(router_->num_experts);
    GrowTo(scratch_.inverse_norms, num_tokens_);
    GrowTo(scratch_.hidden, num_tokens_ * router_stride_);
    GrowTo(scratch_.scores, num_tokens_ * router_stride_);
    GrowTo(scratch_.chosen, num_tokens_ * num_chosen_);
    GrowTo(scratch_.keys, threads * router_->num_experts);
  }

  // Every thread runs this; work is shared at each `omp for`, which also ends in a barrier.
  void Work(int threads, bool only_route) {
    if (copy_ || router_) {
#pragma omp for schedule(static)
      for (int64_t t = 0; t < num_tokens_; ++t) LookAtToken(t);
    }
    if (router_) {
      const int64_t tiles = router_stride_ / kTileNeurons;
      const int64_t items = (num_tokens_ + kRouterTokens - 1) / kRouterTokens * tiles;
#pragma omp for schedule(static)
      for (int64_t i = 0; i < items; ++i) RouterProduct(1, i % tiles, i / tiles);
#pragma omp for schedule(static)
      for (int64_t i = 0; i < items; ++i) RouterProduct(2, i % tiles, i / tiles);
#pragma omp for schedule(static)
      for (int64_t t = 0; t < num_tokens_; ++t) Select(t, omp_get_thread_num());
    }
    if (only_route) return;
#pragma omp single
    Group(threads);
    // Separate variables: all threads read them, and only `Group` has written them.
    const auto num_tiles = static_cast<int64_t>(scratch_.tiles.size());
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < num_tiles; ++i) RunFirstProduct(scratch_.tiles[static_cast<size_t>(i)]);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < num_column_items_; ++i) RunSecondProduct(i, omp_get_thread_num());
  }

  void LookAtToken(int64_t t) const {
    const float* row = given_x_ + t * experts_.hidden;
    if (copy_) {
      std::memcpy(scratch_.x.data() + t * x_stride_, row,
                  static_cast<size_t>(experts_.hidden) * sizeof(float));
    }
    if (router_) scratch_.inverse_norms[static_cast<size_t>(t)] = InverseNorm(row, experts_.hidden);
  }

  // One tile of the router's hidden units (1) or scores (2), for some tokens.
  void RouterProduct(int which, int64_t tile, int64_t token_item) const {
    const int64_t first_token = token_item * kRouterTokens, n = tile * kTileNeurons;
    FirstProductArgs args;
    args.tokens = scratch_.all_tokens.data() + first_token;
    args.num_tokens = std::min(kRouterTokens, num_tokens_ - first_token);
    args.width = std::min(kTileNeurons, router_->num_experts - n);
    args.h_stride = router_stride_;
    if (which == 1) {
      args.x = x_;
      args.x_stride = x_stride_;
      args.x_scale = scratch_.inverse_norms.data();
      args.hidden = router_->hidden;
      args.w_in = router_->w1 + n * router_->hidden;
      args.map = Map::kTanh;
      args.h = scratch_.hidden.data() + first_token * router_stride_ + n;
    } else {
      args.x = scratch_.hidden.data();
      args.x_stride = router_stride_;
      args.hidden = router_->num_experts;
      args.w_in = router_->w2 + n * router_->num_experts;
      args.map = Map::kNone;
      args.h = scratch_.scores.data() + first_token * router_stride_ + n;
    }
    FirstProduct(args);
  }

  void Select(int64_t t, int thread) const {
    const float* scores = scratch_.scores.data() + t * router_stride_;
    int32_t* out = scratch_.chosen.data() + t * num_chosen_;
    SelectRow(scores, router_->num_experts, rule_,
              scratch_.keys.data() + thread * router_->num_experts, out);
  }

  void Group(int threads) {
    scratch_.tiles.clear();
    num_slots_ = num_active_ = num_pairs_ = 0;
    if (!all_) GroupByExpert();
    int64_t begin = 0;
    for (int64_t expert = 0; expert < experts_.num_experts; ++expert) {
      const int64_t end = all_ ? num_tokens_ : scratch_.ends[static_cast<size_t>(expert)];
      CutIntoTiles(expert, begin, end);
      if (!all_) begin = end;
    }
    const int64_t panels = (experts_.padded_hidden + kPanelColumns - 1) / kPanelColumns;
    panels_per_item_ = num_tokens_ <= kStreamTokens ? (panels + threads - 1) / threads : 1;
    num_column_items_ = (panels + panels_per_item_ - 1) / panels_per_item_;
    GrowTo(scratch_.h, num_slots_ * kTileNeurons);
    GrowTo(scratch_.live, num_slots_);
    GrowTo(scratch_.y, threads * panels_per_item_ * num_tokens_ * kPanelColumns);
  }

  void GroupByExpert() {
    const int64_t num_entries = num_tokens_ * num_chosen_;
    const int32_t* chosen = scratch_.chosen.data();
    std::vector<int64_t>& ends = scratch_.ends;
    ends.assign(static_cast<size_t>(experts_.num_experts) + 1, 0);
    for (int64_t i = 0; i < num_entries; ++i) {
      if (chosen[i] >= 0) ++ends[static_cast<size_t>(chosen[i]) + 1];
    }
    for (size_t e = 1; e < ends.size(); ++e) ends[e] += ends[e - 1];
    GrowTo(scratch_.tokens, num_entries);
    // ends[e] is where the next token of e goes, and in the end where e's tokens end.
    for (int64_t t = 0; t < num_tokens_; ++t) {
      for (int64_t i = 0; i < num_chosen_; ++i) {
        const int32_t expert = *chosen++;
        if (expert < 0) continue;
        scratch_.tokens[static_cast<size_t>(ends[static_cast<size_t>(expert)]++)] =
            static_cast<int32_t>(t);
      }
    }
  }

  void CutIntoTiles(int64_t expert, int64_t begin, int64_t end) {
    if (end == begin) return;
    ++num_active_;
    num_pairs_ += end - begin;
    const int64_t last = (expert + 1) * experts_.neurons_per_expert;
    for (int64_t n = last - experts_.neurons_per_expert; n < last; n += kTileNeurons) {
      scratch_.tiles.push_back(
          {expert, n, std::min(kTileNeurons, last - n), begin, end, num_slots_});
      num_slots_ += end - begin;
    }
  }

  const int32_t* TokensOf(const Tile& tile) const {
    return (all_ ? scratch_.all_tokens : scratch_.tokens).data() + tile.pairs_begin;
  }

  void RunFirstProduct(const Tile& tile) const {
    const auto part = [&](const float* values) {
      return values ? values + tile.first_neuron : nullptr;
    };
    FirstProductArgs args;
    args.x = x_;
    args.x_stride = x_stride_;
    args.tokens = TokensOf(tile);
    args.num_tokens = tile.pairs_end - tile.pairs_begin;
    args.hidden = experts_.hidden;
    args.width = tile.width;
    args.format = experts_.format;
    const int64_t offset = tile.first_neuron * experts_.hidden * BytesPerWeight(experts_.format);
    args.w_in = experts_.w_in + offset;
    if (experts_.w_gate) args.w_gate = experts_.w_gate + offset;
    args.in_scale = part(experts_.in_scale);
    args.gate_scale = part(experts_.gate_scale);
    args.out_scale = part(experts_.out_scale);
    args.b_in = part(experts_.b_in);
    args.b_gate = part(experts_.b_gate);
    args.map = MapOf(experts_.activation);
    args.h = scratch_.h.data() + tile.slot * kTileNeurons;
    args.h_stride = kTileNeurons;
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
    args.format = experts_.format;
    const int64_t width = BytesPerWeight(experts_.format);
    for (size_t i = 0; i < scratch_.tiles.size(); ++i) {
      const Tile& tile = scratch_.tiles[i];
      if (i + 1 < scratch_.tiles.size()) TouchPages(scratch_.tiles[i + 1], first, last);
      args.h = scratch_.h.data() + tile.slot * kTileNeurons;
      args.live = scratch_.live.data() + tile.slot;
      args.tokens = TokensOf(tile);
      args.num_tokens = tile.pairs_end - tile.pairs_begin;
      args.width = tile.width;
      const std::byte* w_out = experts_.w_out + tile.first_neuron * experts_.padded_hidden * width;
      for (int64_t column = first; column < last; column += kPanelColumns) {
        args.columns = std::min(kPanelColumns, last - column);
        args.w_out = w_out + column * tile.width * width;
        args.y = sums + (column - first) / kPanelColumns * panel_size;
        if (experts_.compensation) Compensate(tile, column, args);
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

  // Begins to fetch the weights that come next. The processor's own prefetching stops at the end of
  // a page and wants to see a few accesses in the next; skipping zero neurons hides them from it.
  void TouchPages(const Tile& tile, int64_t first, int64_t last) const {
    constexpr int64_t kPage = 4096, kLines = 3 * 64;
    const int64_t width = BytesPerWeight(experts_.format);
    const std::byte* begin =
        experts_.w_out + (tile.first_neuron * experts_.padded_hidden + first * tile.width) * width;
    const std::byte* end = begin + (last - first) * tile.width * width;
    for (const std::byte* page = begin; page < end; page += kPage) {
      for (int64_t line = 0; line < kLines; line += 64) __builtin_prefetch(page + line, 0, 2);
    }
  }

  // The sums began with the terms of all experts; this one runs, so its own go.
  void Compensate(const Tile& tile, int64_t column, const SecondProductArgs& args) const {
    if (tile.first_neuron != tile.expert * experts_.neurons_per_expert) return;
    const float* terms = experts_.compensation + tile.expert * experts_.padded_hidden + column;
    for (int64_t i = 0; i < args.num_tokens; ++i) {
      float* row = args.y + args.tokens[i] * kPanelColumns;
      for (int64_t c = 0; c < args.columns; ++c) row[c] -= terms[c];
    }
  }

  const ExpertWeights& experts_;
  const float* x_;
  const float* given_x_ = nullptr;
  int64_t x_stride_;
  int64_t num_tokens_;
  float* y_;
  Scratch& scratch_;
  const RouterWeights* router_ = nullptr;
  SelectionRule rule_;
  int64_t router_stride_ = 0;
  int64_t num_chosen_ = 0;
  bool all_ = false;
  bool copy_ = false;
  int64_t num_active_ = 0;
  int64_t num_pairs_ = 0;
  int64_t num_slots_ = 0;
  int64_t panels_per_item_ = 1;
  int64_t num_column_items_ = 0;
};

Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

// Chunk after chunk; `set_up(run, first token)` says what each is to run.
template <class SetUp>
at::Tensor RunChunks(const ExpertWeights& experts, const at::Tensor& x, SparseCounters* counters,
                     const SetUp& set_up) {
  MOEFY_CHECK(x.dim() == 2 && x.size(1) == experts.hidden && x.scalar_type() == at::kFloat);
  const at::Tensor inputs = x.contiguous();  // [tokens, hidden]
  at::Tensor y = at::empty_like(inputs, at::MemoryFormat::Contiguous);
  const int64_t num_tokens = x.size(0);
  int64_t expert_loads = 0, pairs = 0;
  for (int64_t begin = 0; begin < num_tokens; begin += kChunkTokens) {
    Run run(experts, inputs.data_ptr<float>() + begin * experts.hidden,
            std::min(kChunkTokens, num_tokens - begin),
            y.data_ptr<float>() + begin * experts.hidden, ThreadScratch());
    set_up(run, begin);
    run.Execute(at::get_num_threads());
    expert_loads += run.num_active_experts();
    pairs += run.num_pairs();
  }
  if (counters) {
    counters->tokens += num_tokens;
    counters->expert_tokens += pairs;
    counters->neurons_evaluated += pairs * experts.neurons_per_expert;
    counters->neurons_total += num_tokens * experts.num_experts * experts.neurons_per_expert;
    counters->expert_loads += expert_loads;
    counters->weight_bytes_read += expert_loads * experts.ExpertBytes();
    counters->expert_flops += 2.0 * static_cast<double>(pairs * experts.neurons_per_expert *
                                                        experts.num_matrices() * experts.hidden);
  }
  return y;
}

}  // namespace

Map MapOf(model::Activation activation) {
  switch (activation) {
    case model::Activation::kRelu:
      return Map::kRelu;
    case model::Activation::kGelu:
      return Map::kGelu;
    case model::Activation::kGeluTanh:
      return Map::kGeluTanh;
    case model::Activation::kSilu:
      return Map::kSilu;
  }
  return Map::kNone;
}

at::Tensor RunExperts(const ExpertWeights& experts, const at::Tensor& x, const at::Tensor& chosen,
                      SparseCounters* counters) {
  MOEFY_CHECK(chosen.dim() == 2 && chosen.size(0) == x.size(0) &&
              chosen.scalar_type() == at::kLong);
  const at::Tensor choices = chosen.contiguous();  // [tokens, k]
  const int64_t num_chosen = chosen.size(1);
  return RunChunks(experts, x, counters, [&](Run& run, int64_t begin) {
    run.RunChosen(choices.data_ptr<int64_t>() + begin * num_chosen, num_chosen);
  });
}

at::Tensor RunRouted(const ExpertWeights& experts, const RouterWeights& router,
                     const SelectionRule& rule, const at::Tensor& x, SparseCounters* counters) {
  MOEFY_CHECK(router.num_experts == experts.num_experts && router.hidden == experts.hidden);
  return RunChunks(experts, x, counters, [&](Run& run, int64_t) { run.RunRouted(router, rule); });
}

at::Tensor RunAllExperts(const ExpertWeights& experts, const at::Tensor& x,
                         SparseCounters* counters) {
  return RunChunks(experts, x, counters, [](Run& run, int64_t) { run.RunAll(); });
}

at::Tensor Route(const RouterWeights& router, const SelectionRule& rule, const at::Tensor& x) {
  MOEFY_CHECK(x.dim() == 2 && x.size(1) == router.hidden && x.scalar_type() == at::kFloat);
  ExpertWeights shape;  // what Run needs to know of it
  shape.num_experts = router.num_experts;
  shape.hidden = router.hidden;
  shape.neurons_per_expert = kTileNeurons;
  const at::Tensor inputs = x.contiguous();
  const int64_t num_chosen = rule.num_shared + rule.num_selected;
  at::Tensor chosen = at::empty({x.size(0), num_chosen}, at::kLong);
  Scratch& scratch = ThreadScratch();
  for (int64_t begin = 0; begin < x.size(0); begin += kChunkTokens) {
    const int64_t count = std::min(kChunkTokens, x.size(0) - begin);
    Run run(shape, inputs.data_ptr<float>() + begin * router.hidden, count, nullptr, scratch);
    run.RunRouted(router, rule);
    run.Execute(at::get_num_threads(), /*only_route=*/true);
    std::copy_n(scratch.chosen.begin(), count * num_chosen,
                chosen.data_ptr<int64_t>() + begin * num_chosen);
  }
  return chosen;
}

at::Tensor SelectExperts(const at::Tensor& scores, const SelectionRule& rule) {
  const int64_t tokens = scores.size(0), experts = scores.size(1);
  const int64_t num_chosen = rule.num_shared + rule.num_selected;
  MOEFY_CHECK(num_chosen <= experts && scores.scalar_type() == at::kFloat);
  const at::Tensor in = scores.contiguous();
  at::Tensor out = at::empty({tokens, num_chosen}, at::kLong);
  at::parallel_for(0, tokens, 16, [&](int64_t begin, int64_t end) {
    std::vector<uint64_t> keys(static_cast<size_t>(experts));
    std::vector<int32_t> chosen(static_cast<size_t>(num_chosen));
    for (int64_t t = begin; t < end; ++t) {
      SelectRow(in.data_ptr<float>() + t * experts, experts, rule, keys.data(), chosen.data());
      std::copy(chosen.begin(), chosen.end(), out.data_ptr<int64_t>() + t * num_chosen);
    }
  });
  return out;
}

std::string InstructionSet() { return ChosenInstructionSet(); }

SparseCounters& SparseCounters::operator+=(const SparseCounters& other) {
  tokens += other.tokens;
  dense_tokens += other.dense_tokens;
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
