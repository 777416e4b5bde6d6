#include "runtime/sparse_call.h"

#include <omp.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>

#include "moefy/base/error.h"
#include "runtime/dot_rows.h"
#include "runtime/first_product.h"
#include "runtime/select_experts.h"
#include "runtime/small_tiles.h"

namespace moefy::runtime {
namespace {

// Up to so many tokens, reading weights is what costs: a thread reads all it needs of an expert in
// one run. With more tokens, sums that stay in the cache are worth more: one panel after the other.
constexpr int64_t kStreamTokens = 128;
// From so many tokens on, rows of x that compete for the same cache lines are in each other's way.
constexpr int64_t kCopyTokens = 12;
// Below this much work starting threads costs more than it gives.
constexpr double kSerialFlops = 1e6;

int64_t WholeTiles(int64_t count) {
  return (count + kTileNeurons - 1) / kTileNeurons * kTileNeurons;
}

}  // namespace

void ChunkRun::RunChosen(const int64_t* chosen, int64_t num_chosen) {
  num_chosen_ = num_chosen;
  GrowTo(scratch_.chosen, num_tokens_ * num_chosen);
  for (int64_t i = 0; i < num_tokens_ * num_chosen; ++i) {
    MOEFY_CHECK(chosen[i] >= -1 && chosen[i] < experts_.num_experts);
    scratch_.chosen[static_cast<size_t>(i)] = static_cast<int32_t>(chosen[i]);
  }
}

void ChunkRun::RunRouted(const RouterWeights& router, const route::SelectionRule& rule) {
  router_ = &router;
  rule_ = rule;
  num_chosen_ = rule.num_chosen();
}

void ChunkRun::Execute(int max_threads, bool only_route) {
  const int64_t experts_per_token = all_ ? experts_.num_experts : num_chosen_;
  const double flops = 4.0 * static_cast<double>(num_tokens_ * experts_per_token *
                                                 experts_.neurons_per_expert * experts_.hidden);
  const int threads = flops < kSerialFlops ? 1 : max_threads;
  Prepare(threads);
  if (threads == 1) return Work(1, only_route);
#pragma omp parallel num_threads(threads)
  Work(threads, only_route);
}

void ChunkRun::Prepare(int threads) {
  // Rows a multiple of 4 KB apart would compete for the same few cache lines.
  given_x_ = x_;
  quantize_ = IsQuantized(experts_.format);
  const bool pad = experts_.small() && experts_.hidden % (kSmallLanes / 2) != 0;
  copy_ = !quantize_ && (pad || (num_tokens_ > kCopyTokens && experts_.hidden % 256 == 0));
  if (quantize_) {
    x_quantized_ = scratch_.x_quantized.Rows(num_tokens_, QuantizedSize(experts_.hidden));
  }
  if (copy_) {
    x_stride_ = (experts_.hidden + 15) / 16 * 16 + 16;
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

int64_t ChunkRun::CountLiveNeurons() const {
  return std::transform_reduce(scratch_.live.begin(), scratch_.live.begin() + num_slots_,
                               int64_t{0}, std::plus<>(),
                               [](uint32_t bits) { return int64_t{std::popcount(bits)}; });
}

// Every thread runs this; work is shared at each `omp for`, which also ends in a barrier.
void ChunkRun::Work(int threads, bool only_route) {
  if (copy_ || quantize_ || router_) {
#pragma omp for schedule(static)
    for (int64_t t = 0; t < num_tokens_; ++t) LookAtToken(t);
  }
  if (router_) {
    const int64_t tiles = router_stride_ / kTileNeurons;
    const int64_t items = (num_tokens_ + kRouterTokens - 1) / kRouterTokens * tiles;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < items; ++i) RouterProduct(1, i % tiles, i / tiles);
    if (router_->w2) {
#pragma omp for schedule(static)
      for (int64_t i = 0; i < items; ++i) RouterProduct(2, i % tiles, i / tiles);
    }
#pragma omp for schedule(static)
    for (int64_t t = 0; t < num_tokens_; ++t) Select(t, omp_get_thread_num());
  }
  if (only_route) return;
#pragma omp single
  Group(threads);
  if (experts_.small()) return WorkOnSmall();
  // Separate variables: all threads read them, and only `Group` has written them.
  const auto num_tiles = static_cast<int64_t>(scratch_.tiles.size());
#pragma omp for schedule(dynamic)
  for (int64_t i = 0; i < num_tiles; ++i) RunFirstProduct(scratch_.tiles[static_cast<size_t>(i)]);
#pragma omp for schedule(dynamic)
  for (int64_t i = 0; i < num_column_items_; ++i) RunSecondProduct(i, omp_get_thread_num());
}

void ChunkRun::WorkOnSmall() {
  const int64_t first = small_.num_first_items, tokens = small_.num_token_items;
  const int64_t second = small_.num_second_items;
#pragma omp for schedule(dynamic)
  for (int64_t i = 0; i < first; ++i) small_.FirstItem(i);
  if (tokens > 0) {
#pragma omp for schedule(static)
    for (int64_t t = 0; t < tokens; ++t) small_.TokenItem(t, omp_get_thread_num());
  }
#pragma omp for schedule(dynamic)
  for (int64_t i = 0; i < second; ++i) small_.SecondItem(i, omp_get_thread_num());
}

void ChunkRun::Group(int threads) {
  scratch_.tiles.clear();
  num_slots_ = num_active_ = num_pairs_ = 0;
  if (all_) {
    for (int64_t expert = 0; expert < experts_.num_experts; ++expert) {
      CutIntoTiles(expert, 0, num_tokens_);
    }
  } else {
    GroupByExpert();
  }
  if (experts_.small()) {
    small_.x = x_;
    small_.x_stride = x_stride_;
    small_.x_quantized = x_quantized_;
    small_.tokens = (all_ ? scratch_.all_tokens : scratch_.tokens).data();
    small_.num_tokens = num_tokens_;
    small_.experts_per_token = all_ ? experts_.num_experts : num_chosen_;
    small_.y = y_;
    small_.SetUp(threads);
    num_slots_ = small_.num_slots;
    return;
  }
  const int64_t panels = (experts_.padded_hidden + kPanelColumns - 1) / kPanelColumns;
  panels_per_item_ = num_tokens_ <= kStreamTokens ? (panels + threads - 1) / threads : 1;
  num_column_items_ = (panels + panels_per_item_ - 1) / panels_per_item_;
  if (quantize_) {
    h_quantized_ = scratch_.h_quantized.Rows(num_slots_, kTileNeurons);
  } else {
    GrowTo(scratch_.h, num_slots_ * kTileNeurons);
  }
  GrowTo(scratch_.live, num_slots_);
  GrowTo(scratch_.y, threads * panels_per_item_ * num_tokens_ * kPanelColumns);
}

void ChunkRun::GroupByExpert() {
  const int64_t num_entries = num_tokens_ * num_chosen_;
  const int32_t* chosen = scratch_.chosen.data();
  std::vector<int32_t>& ends = scratch_.ends;
  ends.assign(static_cast<size_t>(experts_.num_experts), 0);
  // Bits of the experts that run: most of many small ones do not when tokens are few.
  std::vector<uint64_t>& active = scratch_.active;
  active.assign(static_cast<size_t>(experts_.num_experts + 63) / 64, 0);
  for (int64_t i = 0; i < num_entries; ++i) {
    if (chosen[i] < 0) continue;
    const auto expert = static_cast<size_t>(chosen[i]);
    ++ends[expert];
    active[expert / 64] |= uint64_t{1} << expert % 64;
  }
  int32_t begin = 0;
  for (size_t word = 0; word < active.size(); ++word) {
    for (uint64_t bits = active[word]; bits != 0; bits &= bits - 1) {
      const size_t expert = word * 64 + static_cast<size_t>(std::countr_zero(bits));
      const int32_t end = begin + ends[expert];
      CutIntoTiles(static_cast<int64_t>(expert), begin, end);
      ends[expert] = begin;
      begin = end;
    }
  }
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

void ChunkRun::CutIntoTiles(int64_t expert, int64_t begin, int64_t end) {
  ++num_active_;
  num_pairs_ += end - begin;
  const int64_t last = (expert + 1) * experts_.neurons_per_expert;
  for (int64_t n = last - experts_.neurons_per_expert; n < last; n += kTileNeurons) {
    scratch_.tiles.push_back({expert, n, std::min(kTileNeurons, last - n), begin, end, num_slots_});
    num_slots_ += end - begin;
  }
}

void ChunkRun::LookAtToken(int64_t t) const {
  const float* row = given_x_ + t * experts_.hidden;
  if (copy_) {
    float* const to = scratch_.x.data() + t * x_stride_;
    std::fill(std::copy_n(row, experts_.hidden, to), to + x_stride_, 0.0f);
  }
  if (quantize_) QuantizeRow(row, experts_.hidden, x_quantized_, t);
  if (router_ && router_->of_direction) {
    scratch_.inverse_norms[static_cast<size_t>(t)] = InverseNorm(row, experts_.hidden);
  }
}

// Computes one tile of the router's first product (1), which are the scores or, where there is a
// second one, hidden units, or of the second (2), for some tokens.
void ChunkRun::RouterProduct(int which, int64_t tile, int64_t token_item) const {
  const int64_t first_token = token_item * kRouterTokens, n = tile * kTileNeurons;
  FirstProductArgs args;
  args.tokens = scratch_.all_tokens.data() + first_token;
  args.num_tokens = std::min(kRouterTokens, num_tokens_ - first_token);
  args.width = std::min(kTileNeurons, router_->num_experts - n);
  args.h_stride = router_stride_;
  if (which == 1) {
    args.x = x_;
    args.x_stride = x_stride_;
    if (router_->of_direction) args.x_scale = scratch_.inverse_norms.data();
    args.hidden = router_->hidden;
    args.format = router_->format;
    if (router_->format == WeightFormat::kInt8) {
      args.quantized = x_quantized_;
      args.in_scale = router_->w1_scale + n;
    }
    args.w_in = router_->w1 + n * TileRowBytes(router_->format, router_->hidden);
    if (router_->bias) args.b_in = router_->bias + n;
    args.map = router_->w2 ? Map{Map::kTanh} : Map{Map::kNone};
    args.h =
        (router_->w2 ? scratch_.hidden : scratch_.scores).data() + first_token * router_stride_ + n;
  } else {
    args.x = scratch_.hidden.data();
    args.x_stride = router_stride_;
    args.hidden = router_->num_experts;
    args.w_in = router_->w2 + n * router_->num_experts;
    args.map = {Map::kNone};
    args.h = scratch_.scores.data() + first_token * router_stride_ + n;
  }
  FirstProduct(args);
}

void ChunkRun::Select(int64_t t, int thread) const {
  const float* scores = scratch_.scores.data() + t * router_stride_;
  int32_t* out = scratch_.chosen.data() + t * num_chosen_;
  SelectRow(scores, router_->num_experts, rule_,
            scratch_.keys.data() + thread * router_->num_experts, out);
}

const int32_t* ChunkRun::TokensOf(const Tile& tile) const {
  return (all_ ? scratch_.all_tokens : scratch_.tokens).data() + tile.pairs_begin;
}

void ChunkRun::RunFirstProduct(const Tile& tile) const {
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
  args.quantized = x_quantized_;
  const int64_t offset = tile.first_neuron * experts_.InBytes();
  args.w_in = experts_.w_in + offset;
  if (experts_.w_gate) args.w_gate = experts_.w_gate + offset;
  args.in_scale = part(experts_.in_scale);
  args.gate_scale = part(experts_.gate_scale);
  args.b_in = part(experts_.b_in);
  args.b_gate = part(experts_.b_gate);
  args.min_magnitude = part(experts_.min_magnitude);
  args.map = MapOf(experts_.activation);
  if (quantize_) {
    args.h_quantized = h_quantized_.From(tile.slot);
  } else {
    args.h = scratch_.h.data() + tile.slot * kTileNeurons;
    args.h_stride = kTileNeurons;
  }
  args.live = scratch_.live.data() + tile.slot;
  FirstProduct(args);
}

// Computes the columns of the item's panels of y, for all tokens.
void ChunkRun::RunSecondProduct(int64_t item, int thread) const {
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
  args.sparse = experts_.activation.makes_zeros() || experts_.min_magnitude;
  args.format = experts_.out_format();
  const int64_t width = BytesPerWeight(args.format);
  for (size_t i = 0; i < scratch_.tiles.size(); ++i) {
    const Tile& tile = scratch_.tiles[i];
    if (i + 1 < scratch_.tiles.size()) TouchPages(scratch_.tiles[i + 1], first, last);
    if (quantize_) {
      args.h_quantized = h_quantized_.From(tile.slot);
    } else {
      args.h = scratch_.h.data() + tile.slot * kTileNeurons;
    }
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
  for (int64_t column = first; column < std::min(last, experts_.hidden); column += kPanelColumns) {
    const int64_t columns = std::min(kPanelColumns, experts_.hidden - column);
    const float* row = sums + (column - first) / kPanelColumns * panel_size;
    for (int64_t t = 0; t < num_tokens_; ++t, row += kPanelColumns) {
      float* const out = y_ + t * experts_.hidden + column;
      if (!experts_.out_scale) {
        std::copy_n(row, columns, out);
        continue;
      }
      const float* const scale = experts_.out_scale + column;
      for (int64_t c = 0; c < columns; ++c) out[c] = row[c] * scale[c];
    }
  }
}

// Begins to fetch the weights that come next. The processor's own prefetching stops at the end of a
// page and wants to see a few accesses in the next one; skipping zero neurons hides those from it.
void ChunkRun::TouchPages(const Tile& tile, int64_t first, int64_t last) const {
  constexpr int64_t kPage = 4096, kLines = 3 * 64;
  const int64_t width = BytesPerWeight(experts_.out_format());
  const std::byte* begin =
      experts_.w_out + (tile.first_neuron * experts_.padded_hidden + first * tile.width) * width;
  const std::byte* end = begin + (last - first) * tile.width * width;
  for (const std::byte* page = begin; page < end; page += kPage) {
    for (int64_t line = 0; line < kLines; line += 64) __builtin_prefetch(page + line, 0, 2);
  }
}

// Takes the terms of an expert that runs away from the sums, which began with those of all experts.
void ChunkRun::Compensate(const Tile& tile, int64_t column, const SecondProductArgs& args) const {
  if (tile.first_neuron != tile.expert * experts_.neurons_per_expert) return;
  const float* terms = experts_.compensation + tile.expert * experts_.padded_hidden + column;
  for (int64_t i = 0; i < args.num_tokens; ++i) {
    float* row = args.y + args.tokens[i] * kPanelColumns;
    for (int64_t c = 0; c < args.columns; ++c) row[c] -= terms[c];
  }
}

}  // namespace moefy::runtime
