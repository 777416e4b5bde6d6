// The positions of tokens, and what positions do to embeddings, queries and scores. Pure functions,
// thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <limits>
#include <vector>

#include "moefy/model/config.h"

namespace moefy::model {

// What is added to a score that must not count. Minus infinity would not do: the softmax of a row
// that is -inf throughout is NaN, and so is its gradient.
inline constexpr float kLowestScore = std::numeric_limits<float>::lowest();

// The position of the token `id` in the given column of a text. The token is `real` or padding, and
// `count` tokens before it count; `count` moves on if this one counts too. If the family counts
// tokens and not columns, a token that does not count gets the position before the first.
int64_t PositionOf(const ModelConfig& config, int64_t id, bool real, int64_t column,
                   int64_t& count);

// The positions of a batch of ids [batch, tokens], as I64 of the same shape, on the CPU. `mask` may
// be undefined. The batch continues one of `first_column` columns; `counts` [batch] are the counts
// of its rows, and move on.
at::Tensor TokenPositions(const ModelConfig& config, const at::Tensor& ids, const at::Tensor& mask,
                          int64_t first_column, std::vector<int64_t>& counts);

// Sines, then cosines, of positions [rows], as [rows, width]; the i-th frequency is
// 10000^(-i / steps).
at::Tensor Sinusoids(const at::Tensor& positions, int64_t width, double steps);
// Writes those of one position to `out` [width].
void Sinusoids(int64_t position, int64_t width, double steps, float* out);

// Cosines and sines of the rotation angles, [rows, 1, dims / 2]; undefined: no rotation.
struct Rotation {
  at::Tensor cos, sin;
};
Rotation MakeRotation(const RotaryConfig& config, const at::Tensor& positions);
// The angles by which one position more rotates, F32 [dims / 2], on the CPU.
at::Tensor RotaryFrequencies(const RotaryConfig& config);
// x [rows, heads, head_dim]; dimension i < dims / 2 is rotated together with i + dims / 2.
at::Tensor Rotate(const at::Tensor& x, const Rotation& rotation);

// The row of T5's bias table for a key at position `relative` to the query's. Source:
// modeling_t5.py, _relative_position_bucket.
int64_t RelativeBucket(int64_t relative, int64_t num_buckets, bool bidirectional,
                       int64_t max_distance);

// T5's relative position bias, [1, heads, queries, keys], from the table [buckets, heads]. The
// first query stands at key `first_query`.
at::Tensor RelativeBias(const at::Tensor& table, int64_t first_query, int64_t num_queries,
                        int64_t num_keys, bool bidirectional, int64_t max_distance);

// What keeps a query from seeing later keys: [1, 1, queries, keys], 0 if the query may see the key,
// else the lowest float. A query sees itself and `window` - 1 keys before it; a window of 0 means
// all keys before it. Undefined if every query may see every key.
at::Tensor CausalBias(int64_t first_query, int64_t num_queries, int64_t num_keys, int64_t window,
                      at::Device device);

// The bias for queries that see `window` - 1 keys to either side. Undefined for a window of 0 and
// if every query may see every key.
at::Tensor WindowBias(int64_t first_query, int64_t num_queries, int64_t num_keys, int64_t window,
                      at::Device device);

// The sum of two score biases, either of which may be undefined.
at::Tensor AddBias(const at::Tensor& a, const at::Tensor& b);

}  // namespace moefy::model
