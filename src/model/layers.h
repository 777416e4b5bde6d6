// The parts a Transformer block is made of, over packed rows: a batch's real tokens one after the
// other, without padding, [rows, hidden].
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <utility>
#include <vector>

#include "model/linear.h"
#include "model/positions.h"
#include "model/row_kernels.h"
#include "model/score_bias.h"
#include "moefy/model/config.h"

namespace moefy::model {

struct Linear {
  at::Tensor weight;  // [out, in], F32 or as stored; undefined: there is none
  at::Tensor bias;    // [out] or undefined
  std::shared_ptr<const LinearKernel> kernel = nullptr;  // does it instead; no weight then
  bool defined() const { return weight.defined() || kernel; }
  at::Tensor operator()(const at::Tensor& x) const {
    return kernel ? kernel->Forward(x) : at::linear(x, Widened(weight), bias);
  }
};

struct Norm {
  at::Tensor weight;  // [hidden]; undefined: no norm here
  at::Tensor bias;    // [hidden]; undefined: RMS norm
  double epsilon = 0;
  void (*kernel)(const NormRowsArgs& args) = nullptr;  // does it instead, where it can
  bool defined() const { return weight.defined(); }
  at::Tensor operator()(const at::Tensor& x) const;
  // Adds `added`, which may be undefined, to x and takes it away; returns the norm of x, or x
  // itself where there is no norm. x is not changed in place.
  at::Tensor OfSum(at::Tensor& x, at::Tensor& added) const;
};

// Which tokens of a padded batch [batch, tokens] are real, and the way from one form to the other.
// Thread-safety: immutable.
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
  // What is added to attention scores so that nobody sees padding: [batch, 1, 1, tokens], 0 or the
  // lowest float; undefined if there is no padding.
  at::Tensor KeyBias() const { return key_bias_; }

  // The rows of one text.
  struct Text {
    int64_t first, count;
  };
  // The same rows as a batch of one without padding, which knows where each text begins: what
  // attention's kernel needs. Returns this packing where nothing is padded, or where padding lies
  // between a text's tokens, because positions count it.
  Packing AsTexts() const;
  // The texts of AsTexts(), else none.
  const std::vector<Text>& texts() const { return texts_; }
  int64_t longest_text() const;

 private:
  int64_t batch_ = 0;
  int64_t tokens_ = 0;
  at::Tensor rows_;  // I64 [rows], flat indices of real tokens; undefined without padding
  at::Tensor key_bias_;
  std::vector<Text> lengths_;  // of all texts; none where padding lies between a text's tokens
  std::vector<Text> texts_;
};

// What attention reads, padded: [batch, kv_heads, tokens, head_dim].
struct KeysValues {
  at::Tensor keys, values;
  at::Tensor queries = {};  // [rows, heads * head_dim] where they were computed with the others
};

// [rows, heads * head_dim] -> [batch, heads, tokens, head_dim], zero at padding.
at::Tensor ToHeads(const at::Tensor& packed, int64_t num_heads, const Packing& packing);

struct Attention {
  Linear query, key, value, output;
  Linear fused;  // query, key and value one below the other, in place of the three
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  double scale = 1.0;
  void (*kernel)(const AttentionRows& rows) = nullptr;  // attends instead, where it can
  double softcap = 0;         // c: scores become c tanh(score / c) before biases; 0: no cap
  Norm query_norm, key_norm;  // before the rotation
  QkNorm qk_norm = QkNorm::kNone;

  // Queries and keys of x [rows, hidden] before rotation, [rows, heads * head_dim].
  std::pair<at::Tensor, at::Tensor> QueriesAndKeys(const at::Tensor& x) const;
  // Keys and values of x [key rows, hidden], and the queries if one map makes all three.
  KeysValues Project(const at::Tensor& x, const Packing& packing, const Rotation& rotation) const;
  // What the queries of x [query rows, hidden] read from `memory`, [query rows, hidden]. If the
  // scores of all queries would be too many, blocks of queries follow each other (QueriesPerBlock).
  at::Tensor operator()(const at::Tensor& x, const Packing& packing, const Rotation& rotation,
                        const KeysValues& memory, const ScoreBias& bias) const;
};

}  // namespace moefy::model
