#include "runtime/small_call.h"

#include <algorithm>
#include <span>

#include "base/buffer.h"
#include "runtime/small_first_product.h"
#include "runtime/small_second_product.h"
#include "runtime/small_tiles.h"

namespace moefy::runtime {
namespace {

// Hidden units of a token in one item of the first product: enough to fill vectors with.
constexpr int64_t kItemNeurons = 128;
// Tokens whose panel of y stays in the L1 cache while the experts go by.
constexpr int64_t kBlockTokens = 128;

}  // namespace

int64_t SmallCall::tiles_per_item() const {
  return std::max<int64_t>(1, kItemNeurons / experts.neurons_per_expert);
}

// One more than there are: units are multiplied in pairs.
int64_t SmallCall::unit_stride() const {
  return experts_per_token * UnitsPerExpert(experts.neurons_per_expert) + 1;
}

void SmallCall::SetUp(int threads) {
  const auto num_tiles = static_cast<int64_t>(scratch.tiles.size());
  const int64_t stride = SmallStride(experts.neurons_per_expert);
  // Items end with what their kernels may overwrite.
  const int64_t slack = std::max<int64_t>(1, kSmallSlack / stride);
  num_slots = 0;
  for (int64_t i = 0; i < num_tiles; ++i) {
    Tile& tile = scratch.tiles[static_cast<size_t>(i)];
    if (i > 0 && i % tiles_per_item() == 0) num_slots = num_slots / slack * slack + 2 * slack;
    tile.slot = num_slots;
    num_slots += tile.pairs_end - tile.pairs_begin;
  }
  const int64_t floats = (num_slots + 2 * slack) * stride;
  GrowTo(scratch.h, floats);
  if (experts.w_gate) GrowTo(scratch.gate, floats);
  if (leaves_out()) {
    GrowTo(scratch.live, num_slots);
    std::fill_n(scratch.live.begin(), num_slots, 0);
  }
  num_first_items = (num_tiles + tiles_per_item() - 1) / tiles_per_item();
  if (quantized()) {
    ListPairs();
    const int64_t neurons = UnitNeurons(experts.neurons_per_expert);
    h_quantized = scratch.h_quantized.Rows(num_tokens, unit_stride() * neurons);
    GrowTo(scratch.gathered, threads * unit_stride() * neurons);
    if (experts.compensation) GrowTo(scratch.y, threads * num_tokens * kStripColumns);
    num_token_items = num_tokens;
    num_second_items = (experts.hidden + kStripColumns - 1) / kStripColumns;
  } else {
    CutIntoBlocks();
    GrowTo(scratch.y, threads * kBlockTokens * kSmallPanelColumns);
    num_second_items = (experts.padded_hidden + kSmallPanelColumns - 1) / kSmallPanelColumns;
  }
}

void SmallCall::FirstItem(int64_t item) const {
  const int64_t first = item * tiles_per_item();
  const auto num_tiles = static_cast<int64_t>(scratch.tiles.size());
  SmallFirstArgs args;
  args.experts = &experts;
  args.x = x;
  args.x_stride = x_stride;
  args.quantized = x_quantized;
  args.tokens = tokens;
  args.tiles = {scratch.tiles.data() + first,
                static_cast<size_t>(std::min(tiles_per_item(), num_tiles - first))};
  args.h = scratch.h.data();
  args.gate = scratch.gate.data();
  if (leaves_out()) args.live = scratch.live.data();
  SmallFirstProduct(args);
}

// Lists the pairs of each block of tokens, expert by expert.
void SmallCall::CutIntoBlocks() {
  scratch.cursors.clear();
  scratch.ranges.clear();
  scratch.range_ends.clear();
  for (const Tile& tile : scratch.tiles) {
    scratch.cursors.push_back(static_cast<int32_t>(tile.pairs_begin));
  }
  for (int64_t first = 0; first < num_tokens; first += kBlockTokens) {
    for (size_t i = 0; i < scratch.tiles.size(); ++i) {
      const Tile& tile = scratch.tiles[i];
      const int32_t begin = scratch.cursors[i];
      int32_t end = begin;
      while (end < tile.pairs_end && tokens[end] < first + kBlockTokens) ++end;
      if (begin == end) continue;
      scratch.cursors[i] = end;
      scratch.ranges.push_back({static_cast<int32_t>(tile.expert), begin, end - begin,
                                static_cast<int32_t>(tile.slot + begin - tile.pairs_begin)});
    }
    scratch.range_ends.push_back(scratch.ranges.size());
  }
}

// Lists each token's experts in ascending order.
void SmallCall::ListPairs() {
  GrowTo(scratch.pairs, num_tokens * experts_per_token);
  GrowTo(scratch.counts, num_tokens);
  GrowTo(scratch.units, num_tokens * unit_stride());
  GrowTo(scratch.unit_counts, num_tokens);
  std::fill_n(scratch.counts.begin(), num_tokens, 0);
  for (const Tile& tile : scratch.tiles) {
    for (int64_t i = tile.pairs_begin; i < tile.pairs_end; ++i) {
      const int32_t t = tokens[i];
      const int64_t place = t * experts_per_token + scratch.counts[static_cast<size_t>(t)]++;
      scratch.pairs[static_cast<size_t>(place)] = {
          static_cast<int32_t>(tile.slot + i - tile.pairs_begin),
          static_cast<int32_t>(tile.expert)};
    }
  }
}

// Gathers and quantizes a token's hidden units, and lists their units of W_out.
void SmallCall::TokenItem(int64_t t, int thread) const {
  const int64_t size = experts.neurons_per_expert, stride = SmallStride(size);
  const int64_t unit = UnitNeurons(size), units_per_expert = UnitsPerExpert(size);
  const int64_t unit_bytes = UnitBytes(size);
  const ExpertPair* const pairs = scratch.pairs.data() + t * experts_per_token;
  const int32_t num_pairs = scratch.counts[static_cast<size_t>(t)];
  int32_t* const units = scratch.units.data() + t * unit_stride();
  float* const gathered = scratch.gathered.data() + thread * unit_stride() * unit;
  const bool skip = leaves_out();
  int64_t count = 0;
  for (int32_t i = 0; i < num_pairs; ++i) {
    const float* const h = scratch.h.data() + pairs[i].slot * stride;
    const int64_t begin = pairs[i].expert * units_per_expert;
    const uint32_t live = skip ? scratch.live[static_cast<size_t>(pairs[i].slot)] : ~uint32_t{0};
    for (int64_t u = 0, n = 0; u < units_per_expert; ++u, n += unit) {
      if ((live >> n & 15) == 0) continue;  // zeros add nothing
      float* const to = gathered + count * unit;
      if (unit == 2) {
        std::copy_n(h, 2, to);
      } else {
        std::copy_n(h + n, 4, to);
        for (int64_t k = size - n; k < 4; ++k) to[k] = 0;
      }
      units[count++] = static_cast<int32_t>((begin + u) * unit_bytes);
    }
  }
  if (count > 0) units[count] = units[count - 1];
  scratch.unit_counts[static_cast<size_t>(t)] = static_cast<int32_t>(count);
  QuantizeRow(gathered, count * unit, h_quantized, t);
}

void SmallCall::SecondItem(int64_t item, int thread) const {
  if (quantized()) return StripItem(item, thread);
  PanelItem(item, thread);
}

void SmallCall::StripItem(int64_t strip, int thread) const {
  const int64_t column = strip * kStripColumns, size = experts.neurons_per_expert;
  static constexpr float kZeros[kStripColumns] = {};
  SmallStripArgs args;
  args.w = reinterpret_cast<const uint8_t*>(experts.w_out) +
           strip * StripsBytes(experts.num_experts, size, kStripColumns);
  args.pairs = UnitNeurons(size) == 2;
  args.num_tokens = num_tokens;
  args.counts = scratch.unit_counts.data();
  args.units = scratch.units.data();
  args.unit_stride = unit_stride();
  args.h = h_quantized;
  args.start = experts.b_out ? experts.b_out + column : kZeros;
  args.scale = experts.out_scale + column;
  args.y = y + column;
  args.y_stride = experts.hidden;
  args.columns = std::min(kStripColumns, experts.hidden - column);
  if (experts.compensation) {
    // The sums begin with the terms of all experts, less those that run.
    float* const start = scratch.y.data() + thread * num_tokens * kStripColumns;
    for (int64_t t = 0; t < num_tokens; ++t) {
      float* const row = start + t * kStripColumns;
      std::copy_n(args.start, args.columns, row);
      for (int32_t i = 0; i < scratch.counts[static_cast<size_t>(t)]; ++i) {
        const auto expert = scratch.pairs[static_cast<size_t>(t * experts_per_token + i)].expert;
        const float* const terms = experts.compensation + expert * experts.padded_hidden + column;
        for (int64_t c = 0; c < args.columns; ++c) row[c] -= terms[c];
      }
    }
    args.start = start;
    args.start_stride = kStripColumns;
  }
  SmallStrip(args);
}

void SmallCall::PanelItem(int64_t item, int thread) const {
  float* const sums = scratch.y.data() + thread * kBlockTokens * kSmallPanelColumns;
  SmallSecondArgs args;
  args.experts = &experts;
  args.h = scratch.h.data();
  if (leaves_out()) args.live = scratch.live.data();
  args.tokens = tokens;
  args.column = item * kSmallPanelColumns;
  args.columns = std::min(kSmallPanelColumns, experts.padded_hidden - args.column);
  const int64_t columns = std::min(args.columns, experts.hidden - args.column);
  size_t begin = 0;
  for (size_t block = 0; block < scratch.range_ends.size(); ++block) {
    const int64_t first = static_cast<int64_t>(block) * kBlockTokens;
    const int64_t count = std::min(kBlockTokens, num_tokens - first);
    float* row = sums;
    for (int64_t t = 0; t < count; ++t, row += kSmallPanelColumns) {
      if (experts.b_out) {
        std::copy_n(experts.b_out + args.column, args.columns, row);
      } else {
        std::fill_n(row, args.columns, 0.0f);
      }
    }
    const size_t end = scratch.range_ends[block];
    args.ranges = std::span(scratch.ranges).subspan(begin, end - begin);
    args.y = sums - first * kSmallPanelColumns;
    SmallSecondProduct(args);
    begin = end;
    row = sums;
    for (int64_t t = 0; t < count; ++t, row += kSmallPanelColumns) {
      std::copy_n(row, columns, y + (first + t) * experts.hidden + args.column);
    }
  }
}

}  // namespace moefy::runtime
