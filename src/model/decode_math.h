// What a Transformer does to single rows of numbers, in plain loops without tensors; the norms are
// also those of whole batches. Thread-safety: pure functions.
#pragma once

#include <cstdint>

#include "model/layers.h"
#include "model/positions.h"

namespace moefy::model {

// y = norm(x), [width]; may be the same row.
void NormRow(const Norm& norm, const float* x, int64_t width, float* y);

// x [heads][head_dim]: the first 2 * half dimensions of every head, by angles [half].
void RotateHeads(float* x, int64_t heads, int64_t head_dim, const float* cos, const float* sin,
                 int64_t half);

// x becomes cap * tanh(x / cap); 0: stays.
void Softcap(float cap, int64_t size, float* x);

// One head of one row: softmax(softcap(q keys^T) + biases) values.
struct AttendArgs {
  const float* query = nullptr;   // [head_dim]
  const float* keys = nullptr;    // row of key i at keys + i * key_stride
  const float* values = nullptr;  // likewise
  int64_t key_stride = 0;
  int64_t value_stride = 0;
  int64_t num_keys = 0;
  int64_t head_dim = 0;
  float softcap = 0;            // Softcap()
  const float* biases[2] = {};  // [num_keys] or null
  float* scores = nullptr;      // room for [num_keys]
  float* out = nullptr;         // [head_dim]
};
void Attend(const AttendArgs& args);

}  // namespace moefy::model
