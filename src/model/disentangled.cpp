#include "model/disentangled.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace moefy::model {
namespace {

// The row of the position table that each query and key look up, [count, keys], for `count`
// queries from `first` on.
at::Tensor PositionRows(int64_t first, int64_t count, int64_t keys, int64_t num_buckets,
                        int64_t max_distance) {
  at::Tensor rows = at::empty({count, keys}, at::kLong);
  auto* const row = rows.data_ptr<int64_t>();
  for (int64_t query = 0; query < count; ++query) {
    for (int64_t key = 0; key < keys; ++key) {
      const int64_t bucket = LogarithmicBucket(first + query - key, num_buckets, max_distance);
      row[query * keys + key] = std::clamp<int64_t>(bucket + num_buckets, 0, 2 * num_buckets - 1);
    }
  }
  return rows;
}

}  // namespace

int64_t LogarithmicBucket(int64_t relative, int64_t num_buckets, int64_t max_distance) {
  const int64_t middle = num_buckets / 2, distance = std::abs(relative);
  if (max_distance <= 0 || distance <= middle) return relative;
  // The reference computes in F32.
  const float octaves = std::log(static_cast<float>(distance) / static_cast<float>(middle)) /
                        std::log(static_cast<float>(static_cast<double>(max_distance - 1) /
                                                    static_cast<double>(middle)));
  const auto bucket =
      static_cast<int64_t>(std::ceil(octaves * static_cast<float>(middle - 1))) + middle;
  return relative < 0 ? -bucket : bucket;
}

std::function<at::Tensor(int64_t first, int64_t count)> DisentangledBias(
    const ModelConfig& config, const Attention& attention, const at::Tensor& positions,
    const KeysValues& states, const Packing& packing) {
  const int64_t batch = packing.batch(), heads = attention.num_heads, tokens = packing.tokens();
  const auto [position_queries, position_keys] = attention.QueriesAndKeys(positions);
  // Multiplies [batch, heads, tokens, head_dim] by [2 * buckets, heads * head_dim] to
  // [batch, heads, tokens, 2 * buckets].
  const auto product = [&](const at::Tensor& by, const at::Tensor& table) {
    const at::Tensor by_head = table.reshape({table.size(0), heads, -1}).permute({1, 2, 0});
    return at::matmul(by * attention.scale, by_head);
  };
  at::Tensor of_queries, of_keys;
  if (config.content_to_position) {
    of_queries = product(ToHeads(states.queries, heads, packing), position_keys);
  }
  if (config.position_to_content) of_keys = product(states.keys, position_queries);
  return [=, device = positions.device(), num_buckets = config.relative_buckets,
          max_distance = config.relative_max_distance](int64_t first, int64_t count) {
    const at::Tensor rows =
        PositionRows(first, count, tokens, num_buckets, max_distance).to(device);
    at::Tensor bias;
    if (of_queries.defined()) {
      bias =
          of_queries.narrow(2, first, count).gather(3, rows.expand({batch, heads, count, tokens}));
    }
    if (of_keys.defined()) {
      const at::Tensor by_key = of_keys.gather(3, rows.t().expand({batch, heads, tokens, count}));
      bias = AddBias(bias, by_key.transpose(2, 3));
    }
    return bias;
  };
}

}  // namespace moefy::model
