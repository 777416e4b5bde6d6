#include "model/attend_by_kernel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace moefy::model {
namespace {

// A thread takes so many queries of a head at a time.
constexpr int64_t kQueriesPerItem = 256;

// Some queries of one text.
struct Item {
  int64_t batch_idx;             // in the tensors
  int64_t first_query, queries;  // rows of q and of the result
  int64_t first_key, keys;       // rows of keys and values
  int64_t visible_keys;          // that the first query reads
  int64_t first_bias;            // row of the bias
};

// Attends for all heads of all items. `bias` is [1 or batch, 1 or heads, queries, keys] or
// undefined, and begins with the first key of each text.
at::Tensor AttendItems(const Attention& attention, const at::Tensor& q, const KeysValues& memory,
                       const at::Tensor& bias, const std::vector<Item>& items, at::Tensor out) {
  const int64_t heads = q.size(1), dim = q.size(3);
  const at::Tensor &keys = memory.keys, &values = memory.values;
  const int64_t queries_per_key = heads / keys.size(1);
  AttentionRows all;
  all.query_stride = q.stride(2);
  all.key_stride = keys.stride(2);
  all.value_stride = values.stride(2);
  all.head_dim = dim;
  all.scale = static_cast<float>(attention.scale);
  all.softcap = static_cast<float>(attention.softcap);
  all.out_stride = heads * dim;
  const auto of_head = [](const at::Tensor& tensor, int64_t b, int64_t head, int64_t row) {
    return tensor.data_ptr<float>() + b * tensor.stride(0) + head * tensor.stride(1) +
           row * tensor.stride(2);
  };
  at::Tensor row_bias = bias;
  if (bias.defined()) {
    row_bias = bias.contiguous().expand({bias.size(0), heads, bias.size(2), bias.size(3)});
    all.bias_stride = bias.size(2) == 1 ? 0 : row_bias.stride(2);
  }
  const int64_t count = static_cast<int64_t>(items.size()) * heads;
  // Threads take items as they come: late queries read more keys than early ones.
  std::atomic<int64_t> next = 0;
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), count);
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    for (int64_t i = next++; i < count; i = next++) {
      const Item& item = items[static_cast<size_t>(i / heads)];
      const int64_t head = i % heads, key_head = head / queries_per_key;
      AttentionRows args = all;
      args.num_queries = item.queries;
      args.queries = of_head(q, item.batch_idx, head, item.first_query);
      args.keys = of_head(keys, item.batch_idx, key_head, item.first_key);
      args.values = of_head(values, item.batch_idx, key_head, item.first_key);
      args.visible_keys = item.visible_keys;
      args.num_keys = std::min(item.keys, item.visible_keys + item.queries - 1);
      if (bias.defined()) {
        const int64_t b = bias.size(0) == 1 ? 0 : item.batch_idx;
        args.bias = of_head(row_bias, b, head, bias.size(2) == 1 ? 0 : item.first_bias);
      }
      args.out = out.data_ptr<float>() + item.batch_idx * out.stride(0) +
                 item.first_query * all.out_stride + head * dim;
      attention.kernel(args);
    }
  });
  return out;
}

}  // namespace

at::Tensor AttendByKernel(const Attention& attention, const at::Tensor& q, const KeysValues& memory,
                          const at::Tensor& bias, int64_t visible_keys) {
  const int64_t batch = q.size(0), tokens = q.size(2), num_keys = memory.keys.size(2);
  std::vector<Item> items;
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t first = 0; first < tokens; first += kQueriesPerItem) {
      const int64_t queries = std::min(kQueriesPerItem, tokens - first);
      items.push_back({b, first, queries, 0, num_keys, visible_keys + first, first});
    }
  }
  return AttendItems(attention, q, memory, bias, items,
                     at::empty({batch, tokens, q.size(1) * q.size(3)}, q.options()));
}

at::Tensor AttendTexts(const Attention& attention, const at::Tensor& q, const KeysValues& memory,
                       const ScoreBias& bias, const Packing& packing) {
  const int64_t longest = packing.longest_text();
  at::Tensor out = at::empty({1, q.size(2), q.size(1) * q.size(3)}, q.options());
  const int64_t block = QueriesPerBlock(1, q.size(1), longest, longest);
  for (int64_t first = 0; first < longest; first += block) {
    const int64_t count = std::min(block, longest - first);
    std::vector<Item> items;
    for (const Packing::Text& text : packing.texts()) {
      const int64_t last = std::min(text.count, first + count);
      for (int64_t query = first; query < last; query += kQueriesPerItem) {
        const int64_t queries = std::min(kQueriesPerItem, last - query);
        items.push_back({0, text.first + query, queries, text.first, text.count,
                         bias.causal ? query + 1 : text.count, query - first});
      }
    }
    AttendItems(attention, q, memory, bias.Rows(first, count), items, out);
  }
  return out[0];
}

}  // namespace moefy::model
