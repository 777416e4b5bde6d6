#include "runtime/sparse_call.h"

#include <omp.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>

#include "moefy/base/error.h"

namespace moefy::runtime {
namespace {

// Up to so many tokens reading weights is what costs, and a thread reads all it needs of an expert
// in one run; with more, sums that stay in the cache are worth more, one panel after the other.
constexpr int64_t kStreamTokens = 128;
// From so many tokens on, rows of x that share cache lines' places are in each other's way.
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

void ChunkRun::RunRouted(const RouterWeights& router, const SelectionRule& rule) {
  router_ = &router;
  rule_ = rule;
  num_chosen_ = rule.num_shared + rule.num_selected;
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

int64_t ChunkRun::CountLiveNeurons() const {
  return std::transform_reduce(scratch_.live.begin(), scratch_.live.begin() + num_slots_,
                               int64_t{0}, std::plus<>(),
                               [](uint32_t bits) { return int64_t{std::popcount(bits)}; });
}

// Every thread runs this; work is shared at each `omp for`, which also ends in a barrier.
void ChunkRun::Work(int threads, bool only_route) {
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

void ChunkRun::Group(int threads) {
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

void ChunkRun::GroupByExpert() {
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

void ChunkRun::CutIntoTiles(int64_t expert, int64_t begin, int64_t end) {
  if (end == begin) return;
  ++num_active_;
  num_pairs_ += end - begin;
  const int64_t last = (expert + 1) * experts_.neurons_per_expert;
  for (int64_t n = last - experts_.neurons_per_expert; n < last; n += kTileNeurons) {
    scratch_.tiles.push_back({expert, n, std::min(kTileNeurons, last - n), begin, end, num_slots_});
    num_slots_ += end - begin;
  }
}

}  // namespace moefy::runtime
