#include "model/positions.h"

#include <cmath>
#include <numbers>

namespace moefy::model {
namespace {

// 1 for tokens that are counted; undefined: all are.
at::Tensor Counted(const ModelConfig& config, const at::Tensor& ids, const at::Tensor& mask) {
  switch (config.position_count) {
    case PositionCount::kColumns:
      return {};
    case PositionCount::kReal:
      return mask.defined() ? (mask != 0).to(at::kLong) : at::Tensor();
    case PositionCount::kNotPad:
      return (ids != config.pad_id).to(at::kLong);
  }
  return {};
}

}  // namespace

at::Tensor TokenPositions(const ModelConfig& config, const at::Tensor& ids, const at::Tensor& mask,
                          int64_t first_column, const at::Tensor& counts) {
  const at::Tensor counted = Counted(config, ids, mask);
  at::Tensor positions;  // of the first token: 0
  if (counted.defined()) {
    positions = counted.cumsum(1) - 1;
    if (counts.defined()) positions = positions + counts.unsqueeze(1);
    // Tokens that do not count get the position before the first; if masked, nobody sees it.
    positions = at::where(counted != 0, positions, at::full_like(positions, -1));
  } else if (config.position_count != PositionCount::kColumns && counts.defined()) {
    positions = at::arange(ids.size(1), ids.options()).unsqueeze(0) + counts.unsqueeze(1);
  } else {
    positions = at::arange(first_column, first_column + ids.size(1), ids.options()).expand_as(ids);
  }
  return positions + config.position_offset;
}

at::Tensor CountedTokens(const ModelConfig& config, const at::Tensor& ids, const at::Tensor& mask) {
  if (config.position_count == PositionCount::kColumns) return {};
  const at::Tensor counted = Counted(config, ids, mask);
  return counted.defined() ? counted.sum(1) : at::full({ids.size(0)}, ids.size(1), ids.options());
}

at::Tensor Sinusoids(const at::Tensor& positions, int64_t width, double steps) {
  const at::Tensor frequencies = at::exp(
      at::arange(width / 2, positions.options().dtype(at::kDouble)) * (-std::log(10000.0) / steps));
  const at::Tensor angles = positions.to(at::kDouble).unsqueeze(1) * frequencies;
  return at::cat({angles.sin(), angles.cos()}, 1).to(at::kFloat);
}

Rotation MakeRotation(const RotaryConfig& config, const at::Tensor& positions) {
  const at::TensorOptions options = positions.options().dtype(at::kDouble);
  const at::Tensor exponents = at::arange(0, config.dims, 2, options) / config.dims;
  at::Tensor frequencies = at::pow(at::full({}, config.base, options), -exponents);
  if (config.llama3) {
    // Source: modeling_rope_utils.py, _compute_llama3_parameters. 1 for frequencies that are kept,
    // 0 for those that are divided, and a ramp between.
    const at::Tensor turns = frequencies * (config.original_positions / (2 * std::numbers::pi));
    const at::Tensor kept = ((turns - config.low_frequency_factor) /
                             (config.high_frequency_factor - config.low_frequency_factor))
                                .clamp(0, 1);
    frequencies = frequencies * (kept + (1 - kept) / config.factor);
  } else {
    frequencies = frequencies / config.factor;
  }
  // In F32, as the reference does.
  const at::Tensor angles = positions.to(at::kFloat).view({-1, 1, 1}) * frequencies.to(at::kFloat);
  return {angles.cos(), angles.sin()};
}

at::Tensor Rotate(const at::Tensor& x, const Rotation& rotation) {
  const int64_t half = rotation.cos.size(2), dims = 2 * half;
  const at::Tensor a = x.narrow(2, 0, half), b = x.narrow(2, half, half);
  const at::Tensor parts[] = {a * rotation.cos - b * rotation.sin,
                              b * rotation.cos + a * rotation.sin,
                              x.narrow(2, dims, x.size(2) - dims)};
  return at::cat(at::TensorList(parts, dims < x.size(2) ? 3 : 2), 2);
}

at::Tensor RelativeBias(const at::Tensor& table, int64_t first_query, int64_t num_queries,
                        int64_t num_keys, bool bidirectional, int64_t max_distance) {
  int64_t num_buckets = table.size(0);
  // Key position minus query position, [queries, keys].
  const at::TensorOptions options = table.options().dtype(at::kLong);
  const at::Tensor relative =
      at::arange(num_keys, options).unsqueeze(0) -
      at::arange(first_query, first_query + num_queries, options).unsqueeze(1);
  at::Tensor bucket = at::zeros_like(relative);
  at::Tensor distance;
  if (bidirectional) {
    num_buckets /= 2;
    bucket = (relative > 0).to(at::kLong) * num_buckets;
    distance = relative.abs();
  } else {
    distance = (-relative).clamp_min(0);
  }
  // Half of the buckets are for exact distances, the other half grow logarithmically.
  const int64_t max_exact = num_buckets / 2;
  const at::Tensor logarithmic =
      max_exact + (at::log(distance.to(at::kFloat) / static_cast<double>(max_exact)) /
                   std::log(static_cast<double>(max_distance) / static_cast<double>(max_exact)) *
                   static_cast<double>(num_buckets - max_exact))
                      .clamp_min(0)  // distance 0 gives -inf, and is not used
                      .to(at::kLong);
  bucket =
      bucket + at::where(distance < max_exact, distance, logarithmic.clamp_max(num_buckets - 1));
  return at::embedding(table, bucket).permute({2, 0, 1}).unsqueeze(0);
}

at::Tensor CausalBias(int64_t first_query, int64_t num_queries, int64_t num_keys, int64_t window,
                      at::Device device) {
  const bool windowed = window > 0 && window < num_keys;
  if (num_queries == 1 && first_query == num_keys - 1 && !windowed) return {};
  const at::TensorOptions options = at::device(device).dtype(at::kLong);
  const at::Tensor keys = at::arange(num_keys, options).unsqueeze(0);
  const at::Tensor queries =
      at::arange(first_query, first_query + num_queries, options).unsqueeze(1);
  at::Tensor hidden = keys > queries;
  if (windowed) hidden = hidden.logical_or(keys <= queries - window);
  return at::zeros({num_queries, num_keys}, device)
      .masked_fill_(hidden, kLowestScore)
      .view({1, 1, num_queries, num_keys});
}

at::Tensor AddBias(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? a + b : a;
}

}  // namespace moefy::model
