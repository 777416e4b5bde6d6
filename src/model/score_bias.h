// What is added to attention's scores before the softmax. It is made for some queries at a time,
// because for a long text the whole, queries by keys, would not fit into memory.
// Thread-safety: const objects may be shared.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>

namespace moefy::model {

// How many of `queries` attention computes at once: all, unless there would be more than 2^26
// scores (256 MB), batch x heads x queries x keys; at least one.
int64_t QueriesPerBlock(int64_t batch, int64_t heads, int64_t queries, int64_t keys);

struct ScoreBias {
  at::Tensor keys = {};      // [batch, 1, 1, keys], the lowest float at padding, or undefined
  bool causal = false;       // a query sees no key behind it
  int64_t window = 0;        // it sees so many, itself included; to either side if not causal
  at::Tensor relative = {};  // T5's [buckets, heads], or undefined
  int64_t max_distance = 0;  // of `relative`
  int64_t first_query = 0;   // the key at which the queries begin
  int64_t num_keys = 0;      // of `causal`, `window` and `relative`
  at::Device device = at::kCPU;
  at::Tensor whole = {};  // the bias of all queries, once Keep has made it
  // What one layer adds:
  at::Tensor layer_relative = {};  // as `relative`
  // The bias [1 or batch, heads, count, keys] of `count` queries from `first` on; null adds
  // nothing.
  std::function<at::Tensor(int64_t first, int64_t count)> of_layer = nullptr;

  // The bias of `count` queries from `first` on, [1 or batch, 1 or heads, 1 or count, keys];
  // undefined if nothing is added.
  at::Tensor Rows(int64_t first, int64_t count) const;
  // Makes the bias of all queries now, for every layer that asks, if it is no more than a block's
  // scores.
  void Keep(int64_t batch, int64_t heads, int64_t queries);

 private:
  at::Tensor RowsOfAllLayers(int64_t first, int64_t count) const;
};

}  // namespace moefy::model
