// An FFN in double precision, one neuron after the other: what the kernels are compared with.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "moefy/model/ffn.h"

namespace moefy::tests {

struct FfnShape {
  int64_t hidden = 0;
  int64_t num_experts = 0;
  int64_t neurons_per_expert = 0;
  model::Activation activation = model::Activation::kRelu;
  bool gated = false;
  bool biases = false;
};

inline model::FfnWeights RandomFfn(const FfnShape& shape, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const int64_t neurons = shape.num_experts * shape.neurons_per_expert;
  const auto random = [&](at::IntArrayRef size) { return at::randn(size, generator); };
  model::FfnWeights ffn;
  ffn.activation = shape.activation;
  ffn.w_in = random({neurons, shape.hidden});
  ffn.w_out = random({shape.hidden, neurons}).t();  // a view, as checkpoints give it
  if (shape.gated) ffn.w_gate = random({neurons, shape.hidden});
  if (shape.biases) {
    ffn.b_in = random({neurons});
    if (shape.gated) ffn.b_gate = random({neurons});
    ffn.b_out = random({shape.hidden});
  }
  return ffn;
}

inline at::Tensor RandomTokens(int64_t tokens, int64_t hidden, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::randn({tokens, hidden}, generator) / std::sqrt(static_cast<double>(hidden));
}

// [tokens, k], no expert twice in a row.
inline at::Tensor RandomChoice(int64_t tokens, int64_t num_experts, int64_t k, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return std::get<1>(at::rand({tokens, num_experts}, generator).topk(k, 1)).contiguous();
}

inline double ReferenceActivation(const model::Activation& activation, double x) {
  switch (activation.kind) {
    case model::Activation::kRelu:
      return x > 0 ? x : 0;
    case model::Activation::kRelu2:
      return x > 0 ? x * x : 0;
    case model::Activation::kRelu6:
      return std::min(x > 0 ? x : 0, 6.0);
    case model::Activation::kFatRelu:
      return x > activation.threshold ? x : 0;
    case model::Activation::kLeakyRelu:
      return x > 0 ? x : 0.01 * x;
    case model::Activation::kGelu10:
      return std::min(0.5 * x * std::erfc(-x / std::sqrt(2.0)), 10.0);
    case model::Activation::kQuickGelu:
      return x / (1 + std::exp(-1.702 * x));
    case model::Activation::kMish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case model::Activation::kGelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case model::Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case model::Activation::kSilu:
      return x / (1 + std::exp(-x));
  }
  return std::nan("");
}

struct Reference {
  at::Tensor y;      // [tokens, hidden] F64
  at::Tensor scale;  // [tokens, hidden] F64: the sum of the terms' absolute values
};

inline Reference ReferenceExperts(const model::FfnWeights& ffn, int64_t num_experts,
                                  const at::Tensor& x, const at::Tensor& chosen) {
  const int64_t tokens = x.size(0), hidden = x.size(1), size = ffn.num_neurons() / num_experts;
  const auto plain = [](const at::Tensor& t) { return t.contiguous(); };
  const at::Tensor w_in = plain(ffn.w_in), w_out = plain(ffn.w_out), inputs = plain(x);
  const at::Tensor w_gate = ffn.w_gate.defined() ? plain(ffn.w_gate) : at::Tensor();
  const auto dot = [&](const at::Tensor& w, int64_t n, int64_t t, double* absolute) {
    const float* row = w.data_ptr<float>() + n * hidden;
    const float* token = inputs.data_ptr<float>() + t * hidden;
    double sum = 0;
    *absolute = 0;
    for (int64_t i = 0; i < hidden; ++i) {
      sum += static_cast<double>(row[i]) * static_cast<double>(token[i]);
      *absolute += std::abs(static_cast<double>(row[i]) * static_cast<double>(token[i]));
    }
    return sum;
  };
  Reference result{at::zeros({tokens, hidden}, at::kDouble),
                   at::zeros({tokens, hidden}, at::kDouble)};
  for (int64_t t = 0; t < tokens; ++t) {
    double* y = result.y.data_ptr<double>() + t * hidden;
    double* scale = result.scale.data_ptr<double>() + t * hidden;
    for (int64_t i = 0; ffn.b_out.defined() && i < hidden; ++i) {
      y[i] = static_cast<double>(ffn.b_out.data_ptr<float>()[i]);
      scale[i] = std::abs(y[i]);
    }
    for (int64_t c = 0; c < chosen.size(1); ++c) {
      const int64_t expert = chosen[t][c].item<int64_t>();
      for (int64_t n = expert * size; n < (expert + 1) * size; ++n) {
        double in_size = 0, gate_size = 0;
        double in = dot(w_in, n, t, &in_size);
        if (ffn.b_in.defined()) {
          in += static_cast<double>(ffn.b_in.data_ptr<float>()[n]);
          in_size += std::abs(static_cast<double>(ffn.b_in.data_ptr<float>()[n]));
        }
        double h = 0, h_size = 0;
        if (w_gate.defined()) {
          double gate = dot(w_gate, n, t, &gate_size);
          if (ffn.b_gate.defined()) {
            gate += static_cast<double>(ffn.b_gate.data_ptr<float>()[n]);
            gate_size += std::abs(static_cast<double>(ffn.b_gate.data_ptr<float>()[n]));
          }
          if (ffn.activation.on_both) in = ReferenceActivation(ffn.activation, in);
          h = ReferenceActivation(ffn.activation, gate) * in;
          h_size = gate_size * in_size;
        } else {
          h = ReferenceActivation(ffn.activation, in);
          h_size = in_size;
        }
        const float* out = w_out.data_ptr<float>() + n * hidden;
        for (int64_t i = 0; i < hidden; ++i) {
          y[i] += h * static_cast<double>(out[i]);
          scale[i] += h_size * std::abs(static_cast<double>(out[i]));
        }
      }
    }
  }
  return result;
}

}  // namespace moefy::tests
