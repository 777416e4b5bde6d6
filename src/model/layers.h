// The parts a Transformer block is made of, over packed rows: a batch's real tokens one after the
// other, without padding, [rows, hidden].
#pragma once

#include <ATen/ATen.h>

#include "moefy/model/config.h"

namespace moefy::model {

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out] or undefined
  at::Tensor operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }
};

struct Norm {
  at::Tensor weight;  // [hidden]; undefined: no norm here
  at::Tensor bias;    // [hidden]; undefined: RMS norm
  double epsilon = 0;
  at::Tensor operator()(const at::Tensor& x) const;
};

// Where the real tokens of a padded batch [batch, tokens] are.
class Packing {
 public:
  Packing() = default;
  // `mask` [batch, tokens], non-zero for real tokens; undefined: all are.
  Packing(int64_t batch, int64_t tokens, const at::Tensor& mask);

  int64_t batch() const { return batch_; }
  int64_t tokens() const { return tokens_; }
  // [batch, tokens, ...] -> [rows, ...]
  at::Tensor Pack(const at::Tensor& padded) const;
  // [rows, width] -> [batch, tokens, width], zero at padding.
  at::Tensor Unpack(const at::Tensor& packed) const;
  // Column of each row, I64 [rows].
  at::Tensor Positions() const;
  // To be added to attention scores: [batch, 1, 1, tokens], 0 or the lowest float; undefined
  // without padding.
  at::Tensor KeyBias() const { return key_bias_; }

 private:
  int64_t batch_ = 0;
  int64_t tokens_ = 0;
  at::Tensor rows_;  // I64 [rows], flat indices of real tokens; undefined without padding
  at::Tensor key_bias_;
};

struct Attention {
  Linear query, key, value, output;
  int64_t num_heads = 0;
  double scale = 1.0;

  // x [query rows, hidden], memory [key rows, hidden]; `bias` is added to the scores and
  // broadcasts to [batch, heads, query tokens, key tokens]; undefined for none.
  at::Tensor operator()(const at::Tensor& x, const Packing& x_packing, const at::Tensor& memory,
                        const Packing& memory_packing, const at::Tensor& bias) const;
};

// T5's relative position bias, [1, heads, query tokens, key tokens], from the table
// [buckets, heads]. Source: modeling_t5.py, _relative_position_bucket.
at::Tensor RelativeBias(const at::Tensor& table, int64_t query_tokens, int64_t key_tokens,
                        bool bidirectional, int64_t max_distance);

// 0 on and below the diagonal, the lowest float above: [1, 1, tokens, tokens].
at::Tensor CausalBias(int64_t tokens);

// The sum of two score biases, either of which may be undefined.
at::Tensor AddBias(const at::Tensor& a, const at::Tensor& b);

}  // namespace moefy::model
