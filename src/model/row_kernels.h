// Another seam: what happens to rows between the linear maps, on plain memory. Whoever exchanges a
// Transformer's linear maps may put in kernels for it; without them, LibTorch computes it.
// For inference on the CPU only.
#pragma once

#include <cstdint>

namespace moefy::model {

// softmax(softcap(scale * queries keys^T) + bias) values. All numbers are F32.
struct AttentionRows {
  const float* queries = nullptr;  // row of query i at queries + i * query_stride
  int64_t query_stride = 0;
  int64_t num_queries = 0;
  const float* keys = nullptr;  // likewise
  int64_t key_stride = 0;
  const float* values = nullptr;  // likewise
  int64_t value_stride = 0;
  int64_t num_keys = 0;
  int64_t head_dim = 0;  // of queries, keys and values
  // Query i reads the first min(num_keys, visible_keys + i) keys.
  int64_t visible_keys = 0;
  float scale = 1;
  float softcap = 0;            // c: scores become c tanh(score / c) before the bias; 0: no cap
  const float* bias = nullptr;  // [num_keys] of query i at bias + i * bias_stride; null: none
  int64_t bias_stride = 0;
  float* out = nullptr;  // [head_dim] of query i at out + i * out_stride
  int64_t out_stride = 0;
};

// The norm of x [rows, width] or of x + added: weight (x - mean) / deviation + bias or, without a
// bias, weight x / root mean square. All numbers are F32, and rows lie side by side.
struct NormRowsArgs {
  const float* x = nullptr;
  const float* added = nullptr;  // or null
  int64_t rows = 0;
  int64_t width = 0;
  const float* weight = nullptr;  // [width]
  const float* bias = nullptr;    // [width]; null: RMS norm
  float epsilon = 0;
  float* sum = nullptr;  // [rows, width] gets x + added, or null; may be x
  float* out = nullptr;  // [rows, width]; may be x
};

// One head's attention for many queries, and the norms of some rows.
struct RowKernels {
  void (*attend)(const AttentionRows& rows) = nullptr;
  void (*norm)(const NormRowsArgs& args) = nullptr;
};

}  // namespace moefy::model
