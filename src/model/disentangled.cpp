#include "model/disentangled.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace moefy::model {
namespace {

// The row of the positions that a query and a key look up, [queries, keys].
at::Tensor PositionRows(int64_t tokens, int64_t num_buckets, int64_t max_distance) {
  at::Tensor rows = at::empty({tokens, tokens}, at::kLong);
  auto* const row = rows.data_ptr<int64_t>();
  for (int64_t query = 0; query < tokens; ++query) {
    for (int64_t key = 0; key < tokens; ++key) {
      const int64_t bucket = LogarithmicBucket(query - key, num_buckets, max_distance);
      row[query * tokens + key] = std::clamp<int64_t>(bucket + num_buckets, 0, 2 * num_buckets - 1);
    }
  }
  return rows;
}

}  // namespace

int64_t LogarithmicBucket(int64_t relative, int64_t num_buckets, int64_t max_distance) {
  const int64_t middle = num_buckets / 2, distance = std::abs(relative);
  if (max_distance <= 0 || distance <= middle) return relative;
  // In F32, as the reference does.
  const float octaves = std::log(static_cast<float>(distance) / static_cast<float>(middle)) /
                        std::log(static_cast<float>(static_cast<double>(max_distance - 1) /
                                                    static_cast<double>(middle)));
  const auto bucket =
      static_cast<int64_t>(std::ceil(octaves * static_cast<float>(middle - 1))) + middle;
  return relative < 0 ? -bucket : bucket;
}

at::Tensor DisentangledBias(const ModelConfig& config, const Attention& attention,
                            const at::Tensor& positions, const KeysValues& states,
                            const Packing& packing) {
  const int64_t heads = attention.num_heads, tokens = packing.tokens();
  const auto [position_queries, position_keys] = attention.QueriesAndKeys(positions);
  const at::Tensor rows =
      PositionRows(tokens, config.relative_buckets, config.relative_max_distance)
          .to(positions.device());
  // [batch, heads, tokens, head_dim] by [2 * buckets, heads * head_dim], looked up by `idxs`.
  const auto product = [&](const at::Tensor& by, const at::Tensor& table, const at::Tensor& idxs) {
    const at::Tensor by_head = table.reshape({table.size(0), heads, -1}).permute({1, 2, 0});
    return at::matmul(by * attention.scale, by_head)
        .gather(3, idxs.expand({packing.batch(), heads, tokens, tokens}));
  };
  at::Tensor bias;
  if (config.content_to_position) {
    bias = product(ToHeads(states.queries, heads, packing), position_keys, rows);
  }
  if (config.position_to_content) {
    bias = AddBias(bias, product(states.keys, position_queries, rows.t()).transpose(2, 3));
  }
  return bias;
}

}  // namespace moefy::model
