// Where tokens are: their positions, and what positions do to embeddings, queries and scores.
#pragma once

#include <ATen/ATen.h>

#include <limits>
#include <vector>

#include "moefy/model/config.h"

namespace moefy::model {

// Added to a score that must not count. Not minus infinity: a row of nothing but -inf softmaxes to
// NaN, and its gradient with it.
inline constexpr float kLowestScore = std::numeric_limits<float>::lowest();

// The position of the token `id` in the given column of a text, `real` or padding, after `count`
// tokens that count; and the new count. Where not columns but tokens are counted, those that do not
// count get the position before the first; if masked, nobody sees it.
int64_t PositionOf(const ModelConfig& config, int64_t id, bool real, int64_t column,
                   int64_t& count);

// Positions of a batch of ids [batch, tokens], I64 likewise, on the CPU. `mask` may be undefined.
// The batch continues one of `first_column` columns; `counts` [batch] are its rows', and move on.
at::Tensor TokenPositions(const ModelConfig& config, const at::Tensor& ids, const at::Tensor& mask,
                          int64_t first_column, std::vector<int64_t>& counts);

// Sines, then cosines, of positions [rows] -> [rows, width]; the i-th frequency is
// 10000^(-i / steps).
at::Tensor Sinusoids(const at::Tensor& positions, int64_t width, double steps);
// The same of one position, into `out` [width].
void Sinusoids(int64_t position, int64_t width, double steps, float* out);

// Cosines and sines of the rotation angles, [rows, 1, dims / 2]; undefined: no rotation.
struct Rotation {
  at::Tensor cos, sin;
};
Rotation MakeRotation(const RotaryConfig& config, const at::Tensor& positions);
// The angle of a step of one position, F32 [dims / 2], on the CPU.
at::Tensor RotaryFrequencies(const RotaryConfig& config);
// x [rows, heads, head_dim]; dimension i < dims / 2 is rotated together with i + dims / 2.
at::Tensor Rotate(const at::Tensor& x, const Rotation& rotation);

// The row of T5's bias table for a key at position `relative` to the query's. Source:
// modeling_t5.py, _relative_position_bucket.
int64_t RelativeBucket(int64_t relative, int64_t num_buckets, bool bidirectional,
                       int64_t max_distance);

// T5's relative position bias, [1, heads, queries, keys], from the table [buckets, heads]; the
// queries begin at key `first_query`.
at::Tensor RelativeBias(const at::Tensor& table, int64_t first_query, int64_t num_queries,
                        int64_t num_keys, bool bidirectional, int64_t max_distance);

// 0 where a query may see a key, the lowest float where not: [1, 1, queries, keys]. A query sees
// itself and `window` - 1 keys before it, all where `window` is 0. Undefined: all see all.
at::Tensor CausalBias(int64_t first_query, int64_t num_queries, int64_t num_keys, int64_t window,
                      at::Device device);

// The same for queries that see `window` - 1 keys to either side of them; undefined where that is
// all, and for a window of 0.
at::Tensor WindowBias(int64_t first_query, int64_t num_queries, int64_t num_keys, int64_t window,
                      at::Device device);

// The sum of two score biases, either of which may be undefined.
at::Tensor AddBias(const at::Tensor& a, const at::Tensor& b);

}  // namespace moefy::model
