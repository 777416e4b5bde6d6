// One call of the sparse FFN for up to kChunkTokens tokens, in one parallel region. In order: the
// router's two products and the selection, where there is a router; grouping the tokens by expert;
// the first product; the second. Two threads never write to the same place, and each sum has one
// fixed order. One thread calls it, once.
#pragma once

#include <cstdint>

#include "route/ffn_plan.h"
#include "runtime/expert_weights.h"
#include "runtime/router_weights.h"
#include "runtime/scratch.h"
#include "runtime/second_product.h"
#include "runtime/small_call.h"

namespace moefy::runtime {

// More tokens than this are run in chunks, which bounds the scratch memory.
inline constexpr int64_t kChunkTokens = 512;

class ChunkRun {
 public:
  // x, y [num_tokens, hidden].
  ChunkRun(const ExpertWeights& experts, const float* x, int64_t num_tokens, float* y,
           Scratch& scratch)
      : experts_(experts),
        x_(x),
        x_stride_(experts.hidden),
        num_tokens_(num_tokens),
        y_(y),
        scratch_(scratch),
        small_{experts, scratch} {}

  // One of these says what to run, before Execute:
  void RunAll() { all_ = true; }
  void RunChosen(const int64_t* chosen, int64_t num_chosen);  // [num_tokens, num_chosen]
  void RunRouted(const RouterWeights& router, const route::SelectionRule& rule);

  // With `only_route` the chosen experts are left in the scratch, and nothing is run.
  void Execute(int max_threads, bool only_route = false);

  int64_t num_active_experts() const { return num_active_; }
  int64_t num_pairs() const { return num_pairs_; }
  int64_t CountLiveNeurons() const;  // neurons x tokens that the second product did not skip

 private:
  // The order of things:
  void Prepare(int threads);
  void Work(int threads, bool only_route);
  void WorkOnSmall();
  void Group(int threads);
  void GroupByExpert();
  void CutIntoTiles(int64_t expert, int64_t begin, int64_t end);

  // The items of work that threads share:
  void LookAtToken(int64_t t) const;
  void RouterProduct(int which, int64_t tile, int64_t token_item) const;
  void Select(int64_t t, int thread) const;
  const int32_t* TokensOf(const Tile& tile) const;
  void RunFirstProduct(const Tile& tile) const;
  void RunSecondProduct(int64_t item, int thread) const;
  void TouchPages(const Tile& tile, int64_t first, int64_t last) const;
  void Compensate(const Tile& tile, int64_t column, const SecondProductArgs& args) const;

  const ExpertWeights& experts_;
  const float* x_;
  const float* given_x_ = nullptr;
  int64_t x_stride_;
  QuantizedRows x_quantized_, h_quantized_;  // INT8, INT4 only
  int64_t num_tokens_;
  float* y_;
  Scratch& scratch_;
  SmallCall small_;  // for small experts
  const RouterWeights* router_ = nullptr;
  route::SelectionRule rule_;
  int64_t router_stride_ = 0;
  int64_t num_chosen_ = 0;
  bool all_ = false;
  bool copy_ = false;
  bool quantize_ = false;
  int64_t num_active_ = 0;
  int64_t num_pairs_ = 0;
  int64_t num_slots_ = 0;
  int64_t panels_per_item_ = 1;
  int64_t num_column_items_ = 0;
};

// Tokens of one item of the router's work: rows of x that stay in the L2 cache.
inline constexpr int64_t kRouterTokens = 60;

}  // namespace moefy::runtime
