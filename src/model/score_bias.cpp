#include "model/score_bias.h"

#include <algorithm>

#include "model/positions.h"

namespace moefy::model {

int64_t QueriesPerBlock(int64_t batch, int64_t heads, int64_t queries, int64_t keys) {
  constexpr int64_t kMaxScores = int64_t{1} << 26;
  const int64_t of_a_query = std::max<int64_t>(1, batch * heads * keys);
  return std::clamp<int64_t>(kMaxScores / of_a_query, 1, std::max<int64_t>(1, queries));
}

at::Tensor ScoreBias::RowsOfAllLayers(int64_t first, int64_t count) const {
  if (whole.defined()) return whole.size(2) == 1 ? whole : whole.narrow(2, first, count);
  const int64_t query = first_query + first;
  at::Tensor bias = AddBias(keys, causal ? CausalBias(query, count, num_keys, window, device)
                                         : WindowBias(query, count, num_keys, window, device));
  if (relative.defined()) {
    bias = AddBias(bias, RelativeBias(relative, query, count, num_keys, !causal, max_distance));
  }
  return bias;
}

at::Tensor ScoreBias::Rows(int64_t first, int64_t count) const {
  at::Tensor bias = RowsOfAllLayers(first, count);
  if (layer_relative.defined()) {
    bias = AddBias(bias, RelativeBias(layer_relative, first_query + first, count, num_keys, !causal,
                                      max_distance));
  }
  return of_layer ? AddBias(bias, of_layer(first, count)) : bias;
}

void ScoreBias::Keep(int64_t batch, int64_t heads, int64_t queries) {
  if (QueriesPerBlock(batch, heads, queries, num_keys) >= queries)
    whole = RowsOfAllLayers(0, queries);
  if (whole.defined()) whole = whole.contiguous();
}

}  // namespace moefy::model
