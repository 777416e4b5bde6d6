#include "model/decode_math.h"

#include <algorithm>
#include <cmath>

namespace moefy::model {
namespace {

float Dot(const float* a, const float* b, int64_t size) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += a[i] * b[i];
  return sum;
}

float Sum(const float* x, int64_t size) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += x[i];
  return sum;
}

// Replaces scores [size] by their exponentials, not normalized, and returns the sum of these.
float Exponentials(float* scores, int64_t size) {
  const float highest = *std::max_element(scores, scores + size);
  for (int64_t i = 0; i < size; ++i) scores[i] = std::exp(scores[i] - highest);
  return Sum(scores, size);
}

}  // namespace

void NormRow(const Norm& norm, const float* x, int64_t width, float* y) {
  const auto size = static_cast<float>(width);
  const auto epsilon = static_cast<float>(norm.epsilon);
  const float* const weight = norm.weight.data_ptr<float>();
  if (!norm.bias.defined()) {
    const float scale = 1.0f / std::sqrt(Dot(x, x, width) / size + epsilon);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) y[i] = x[i] * scale * weight[i];
    return;
  }
  const float* const bias = norm.bias.data_ptr<float>();
  const float mean = Sum(x, width) / size;
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) y[i] = x[i] - mean;
  const float scale = 1.0f / std::sqrt(Dot(y, y, width) / size + epsilon);
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) y[i] = y[i] * scale * weight[i] + bias[i];
}

void RotateHeads(float* x, int64_t heads, int64_t head_dim, const float* cos, const float* sin,
                 int64_t half) {
  for (int64_t head = 0; head < heads; ++head, x += head_dim) {
#pragma omp simd
    for (int64_t i = 0; i < half; ++i) {
      const float a = x[i], b = x[half + i];
      x[i] = a * cos[i] - b * sin[i];
      x[half + i] = b * cos[i] + a * sin[i];
    }
  }
}

void Softcap(float cap, int64_t size, float* x) {
  if (cap == 0) return;
  for (int64_t i = 0; i < size; ++i) x[i] = cap * std::tanh(x[i] / cap);
}

void Attend(const AttendArgs& args) {
  float* const scores = args.scores;
  for (int64_t key = 0; key < args.num_keys; ++key) {
    scores[key] = Dot(args.query, args.keys + key * args.key_stride, args.head_dim);
  }
  Softcap(args.softcap, args.num_keys, scores);
  for (const float* bias : args.biases) {
    if (!bias) continue;
    for (int64_t key = 0; key < args.num_keys; ++key) scores[key] += bias[key];
  }
  const float total = Exponentials(scores, args.num_keys);
  std::fill_n(args.out, args.head_dim, 0.0f);
  for (int64_t key = 0; key < args.num_keys; ++key) {
    const float* const value = args.values + key * args.value_stride;
    const float weight = scores[key] / total;
#pragma omp simd
    for (int64_t i = 0; i < args.head_dim; ++i) args.out[i] += weight * value[i];
  }
}

}  // namespace moefy::model
