// What a Transformer does to single rows of numbers, in plain loops without tensors. Whole batches
// use the same norms. Thread-safety: pure functions.
#pragma once

#include <cstdint>

#include "model/layers.h"
#include "model/positions.h"

namespace moefy::model {

// y = norm(x), both [width]; x and y may be the same row.
void NormRow(const Norm& norm, const float* x, int64_t width, float* y);

// Rotates the first 2 * half dimensions of every head of x [heads][head_dim] by the angles whose
// cosines and sines are [half].
void RotateHeads(float* x, int64_t heads, int64_t head_dim, const float* cos, const float* sin,
                 int64_t half);

// Replaces x by cap * tanh(x / cap); a cap of 0 leaves x as it is.
void Softcap(float cap, int64_t size, float* x);

// Attention of one head of one row: softmax(softcap(q keys^T) + biases) values.
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
