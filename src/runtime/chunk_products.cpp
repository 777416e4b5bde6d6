// The items of work that the threads of a ChunkRun share.
#include <algorithm>
#include <cstring>

#include "route/selection.h"
#include "runtime/sparse_call.h"

namespace moefy::runtime {

// The experts of one token into out [shared + selected]. `keys` is room for a number per expert.
void SelectRow(const float* scores, int64_t num_experts, const SelectionRule& rule, uint64_t* keys,
               int32_t* out) {
  const int64_t num_chosen = rule.num_shared + rule.num_selected;
  route::SelectTopK(scores, num_experts, num_chosen, rule.num_shared, keys, out);
  for (int64_t i = rule.num_shared; i < num_chosen; ++i) {
    if (scores[out[i]] < rule.threshold) out[i] = -1;
  }
}

void ChunkRun::LookAtToken(int64_t t) const {
  const float* row = given_x_ + t * experts_.hidden;
  if (copy_) {
    std::memcpy(scratch_.x.data() + t * x_stride_, row,
                static_cast<size_t>(experts_.hidden) * sizeof(float));
  }
  if (router_) scratch_.inverse_norms[static_cast<size_t>(t)] = InverseNorm(row, experts_.hidden);
}

// One tile of the router's hidden units (1) or scores (2), for some tokens.
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
    args.x_scale = scratch_.inverse_norms.data();
    args.hidden = router_->hidden;
    args.w_in = router_->w1 + n * router_->hidden;
    args.map = {Map::kTanh};
    args.h = scratch_.hidden.data() + first_token * router_stride_ + n;
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
  const int64_t offset = tile.first_neuron * experts_.hidden * BytesPerWeight(experts_.format);
  args.w_in = experts_.w_in + offset;
  if (experts_.w_gate) args.w_gate = experts_.w_gate + offset;
  args.in_scale = part(experts_.in_scale);
  args.gate_scale = part(experts_.gate_scale);
  args.out_scale = part(experts_.out_scale);
  args.b_in = part(experts_.b_in);
  args.b_gate = part(experts_.b_gate);
  args.min_magnitude = part(experts_.min_magnitude);
  args.map = MapOf(experts_.activation);
  args.h = scratch_.h.data() + tile.slot * kTileNeurons;
  args.h_stride = kTileNeurons;
  args.live = scratch_.live.data() + tile.slot;
  FirstProduct(args);
}

// Columns [item * panels_per_item, ...) of y, all tokens.
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
  for (int64_t column = first; column < std::min(last, experts_.hidden); column += kPanelColumns) {
    const int64_t columns = std::min(kPanelColumns, experts_.hidden - column);
    const float* row = sums + (column - first) / kPanelColumns * panel_size;
    for (int64_t t = 0; t < num_tokens_; ++t, row += kPanelColumns) {
      std::copy_n(row, columns, y_ + t * experts_.hidden + column);
    }
  }
}

// Begins to fetch the weights that come next. The processor's own prefetching stops at the end of a
// page and wants to see a few accesses in the next; skipping zero neurons hides them from it.
void ChunkRun::TouchPages(const Tile& tile, int64_t first, int64_t last) const {
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
void ChunkRun::Compensate(const Tile& tile, int64_t column, const SecondProductArgs& args) const {
  if (tile.first_neuron != tile.expert * experts_.neurons_per_expert) return;
  const float* terms = experts_.compensation + tile.expert * experts_.padded_hidden + column;
  for (int64_t i = 0; i < args.num_tokens; ++i) {
    float* row = args.y + args.tokens[i] * kPanelColumns;
    for (int64_t c = 0; c < args.columns; ++c) row[c] -= terms[c];
  }
}

}  // namespace moefy::runtime
