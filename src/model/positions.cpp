#include "model/positions.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>

namespace moefy::model {

int64_t PositionOf(const ModelConfig& config, int64_t id, bool real, int64_t column,
                   int64_t& count) {
  if (config.position_count == PositionCount::kColumns) return config.position_offset + column;
  const bool counts = config.position_count == PositionCount::kReal ? real : id != config.pad_id;
  return config.position_offset + (counts ? count++ : -1);
}

at::Tensor TokenPositions(const ModelConfig& config, const at::Tensor& ids, const at::Tensor& mask,
                          int64_t first_column, std::vector<int64_t>& counts) {
  const int64_t batch = ids.size(0), tokens = ids.size(1);
  const at::Tensor id = ids.cpu().contiguous();
  const at::Tensor real = mask.defined() ? mask.to(at::kCPU, at::kLong).contiguous() : mask;
  at::Tensor positions = at::empty({batch, tokens}, at::kLong);
  const auto* const ids_at = id.data_ptr<int64_t>();
  const auto* const real_at = real.defined() ? real.data_ptr<int64_t>() : nullptr;
  for (int64_t i = 0; i < batch * tokens; ++i) {
    positions.data_ptr<int64_t>()[i] =
        PositionOf(config, ids_at[i], !real_at || real_at[i] != 0, first_column + i % tokens,
                   counts[static_cast<size_t>(i / tokens)]);
  }
  return positions;
}

void Sinusoids(int64_t position, int64_t width, double steps, float* out) {
  const int64_t half = width / 2;
  for (int64_t i = 0; i < half; ++i) {
    const double frequency = std::exp(static_cast<double>(i) * (-std::log(10000.0) / steps));
    const double angle = static_cast<double>(position) * frequency;
    out[i] = static_cast<float>(std::sin(angle));
    out[half + i] = static_cast<float>(std::cos(angle));
  }
}

at::Tensor Sinusoids(const at::Tensor& positions, int64_t width, double steps) {
  const at::Tensor frequencies = at::exp(
      at::arange(width / 2, positions.options().dtype(at::kDouble)) * (-std::log(10000.0) / steps));
  const at::Tensor angles = positions.to(at::kDouble).unsqueeze(1) * frequencies;
  return at::cat({angles.sin(), angles.cos()}, 1).to(at::kFloat);
}

at::Tensor RotaryFrequencies(const RotaryConfig& config) {
  const at::TensorOptions options = at::kDouble;
  const at::Tensor exponents = at::arange(0, config.dims, 2, options) / config.dims;
  at::Tensor frequencies = at::pow(at::full({}, config.base, options), -exponents);
  if (config.llama3) {
    // Source: modeling_rope_utils.py, _compute_llama3_parameters. `kept` is 1 for frequencies that
    // stay, 0 for those that are divided, and a ramp between.
    const at::Tensor turns = frequencies * (config.original_positions / (2 * std::numbers::pi));
    const at::Tensor kept = ((turns - config.low_frequency_factor) /
                             (config.high_frequency_factor - config.low_frequency_factor))
                                .clamp(0, 1);
    frequencies = frequencies * (kept + (1 - kept) / config.factor);
  } else {
    frequencies = frequencies / config.factor;
  }
  return frequencies.to(at::kFloat);  // as the reference does
}

Rotation MakeRotation(const RotaryConfig& config, const at::Tensor& positions) {
  const at::Tensor angles =
      positions.to(at::kFloat).view({-1, 1, 1}) * RotaryFrequencies(config).to(positions.device());
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

int64_t RelativeBucket(int64_t relative, int64_t num_buckets, bool bidirectional,
                       int64_t max_distance) {
  int64_t first = 0, distance = std::max<int64_t>(0, -relative);
  if (bidirectional) {
    num_buckets /= 2;
    first = relative > 0 ? num_buckets : 0;
    distance = std::abs(relative);
  }
  // Half of the buckets are for exact distances, the other half grow logarithmically.
  const int64_t max_exact = num_buckets / 2;
  if (distance < max_exact) return first + distance;
  // The reference computes in F32.
  const float octaves = std::log(static_cast<float>(distance) / static_cast<float>(max_exact)) /
                        static_cast<float>(std::log(static_cast<double>(max_distance) /
                                                    static_cast<double>(max_exact)));
  const auto logarithmic =
      static_cast<int64_t>(octaves * static_cast<float>(num_buckets - max_exact));
  return first + std::min(max_exact + logarithmic, num_buckets - 1);
}

at::Tensor RelativeBias(const at::Tensor& table, int64_t first_query, int64_t num_queries,
                        int64_t num_keys, bool bidirectional, int64_t max_distance) {
  // The last query sees the first of these, and each query before it begins one further on.
  std::vector<int64_t> by_distance(static_cast<size_t>(num_queries + num_keys - 1));
  for (size_t i = 0; i < by_distance.size(); ++i) {
    const int64_t relative = static_cast<int64_t>(i) - first_query - (num_queries - 1);
    by_distance[i] = RelativeBucket(relative, table.size(0), bidirectional, max_distance);
  }
  at::Tensor buckets = at::empty({num_queries, num_keys}, at::kLong);
  for (int64_t q = 0; q < num_queries; ++q) {
    std::copy_n(by_distance.begin() + (num_queries - 1 - q), num_keys,
                buckets.data_ptr<int64_t>() + q * num_keys);
  }
  return at::embedding(table, buckets.to(table.device())).permute({2, 0, 1}).unsqueeze(0);
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

at::Tensor WindowBias(int64_t first_query, int64_t num_queries, int64_t num_keys, int64_t window,
                      at::Device device) {
  if (window <= 0 || window >= num_keys) return {};
  const auto options = at::device(device).dtype(at::kLong);
  const at::Tensor queries = at::arange(first_query, first_query + num_queries, options);
  const at::Tensor distance = (at::arange(num_keys, options) - queries.unsqueeze(1)).abs();
  return at::zeros({num_queries, num_keys}, device)
      .masked_fill_(distance >= window, kLowestScore)
      .view({1, 1, num_queries, num_keys});
}

at::Tensor AddBias(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? a + b : a;
}

}  // namespace moefy::model
