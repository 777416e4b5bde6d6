// What is added to attention's scores before the softmax, made for some queries at a time: of a
// long text the whole, queries by keys, would not fit into memory.
// Thread-safety: const objects may be shared.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>

namespace moefy::model {

// How many of `queries` attention computes at once, at least one: all, unless the scores of every
// text and head, batch x heads x queries x keys, would be more than 2^26 (256 MB).
int64_t QueriesPerBlock(int64_t batch, int64_t heads, int64_t queries, int64_t keys);

struct ScoreBias {
  at::Tensor keys = {};      // [batch, 1, 1, keys], the lowest float at padding; undefined without
  bool causal = false;       // a query sees no key behind it
  int64_t window = 0;        // and so many before it, itself included (not causal: to either side)
  at::Tensor relative = {};  // T5's [buckets, heads], or undefined
  int64_t max_distance = 0;  // of `relative`
  int64_t first_query = 0;   // the key at which the queries begin
  int64_t num_keys = 0;      // of `causal`, `window` and `relative`
  at::Device device = at::kCPU;
  at::Tensor whole = {};  // of all queries, once Keep has been called
  // Of one layer alone, beside `whole`:
  at::Tensor layer_relative = {};  // as `relative`
  // [1 or batch, heads, count, keys] of `count` queries from `first` on; null: nothing
  std::function<at::Tensor(int64_t first, int64_t count)> of_layer = nullptr;

  // [1 or batch, 1 or heads, 1 or count, keys] of the queries from `first` on; undefined: nothing
  // is to be added.
  at::Tensor Rows(int64_t first, int64_t count) const;
  // Makes it now, for every layer that asks, if that is no more than a block's scores.
  void Keep(int64_t batch, int64_t heads, int64_t queries);

 private:
  at::Tensor RowsOfAllLayers(int64_t first, int64_t count) const;
};

}  // namespace moefy::model
