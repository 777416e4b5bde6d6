// A stack of blocks with its embeddings, made of a checkpoint's parameters.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/family.h"
#include "model/layers.h"
#include "model/recurrence.h"
#include "moefy/model/transformer.h"

namespace moefy::model {

class Mixture;

struct Block {
  Norm attention_norm;
  Attention attention;
  std::optional<Recurrence> recurrence;  // in place of `attention`, which is empty then
  Norm attention_post_norm;
  Norm cross_norm;
  std::optional<Attention> cross;
  Norm ffn_norm;
  Norm ffn_post_norm;
  at::Tensor relative_bias;    // [buckets, heads], if the layer has one of its own
  size_t ffn_idx = 0;          // in the model; layers may share one. Of a mixture, the first expert
  Linear router, shared_gate;  // of a mixture
  std::shared_ptr<Mixture> mixture;  // runs in place of the FFN; null: there is none

  // What runs between the block's norms; `ffns` are the model's.
  FeedForward& FeedForwardOf(const std::vector<std::unique_ptr<FeedForward>>& ffns) const;
};

struct Stack {
  std::string prefix;  // of hidden state names: "", "encoder.", "decoder."
  bool causal = false;
  at::Tensor token_embedding;       // [vocab, embedding width], F32 or as stored
  Linear project_in;                // to the residual stream's width
  at::Tensor position_embedding;    // [positions, hidden] or undefined
  at::Tensor token_type_embedding;  // [types, hidden] or undefined
  Norm embedding_norm;
  std::vector<Block> blocks;
  at::Tensor relative_bias;  // [buckets, heads] or undefined
  Norm final_norm;
  Linear project_out;             // back to the embeddings' width
  at::Tensor relative_embedding;  // [2 * buckets, hidden], after its norm; kDisentangled
};

// Makes the parts of a Transformer from parameters, which it looks up by the family's names. The
// parts are views in the layout that the Transformer computes with. The name "" and absent biases
// give undefined tensors. Thread-safety: const methods from many threads.
class Builder {
 public:
  Builder(const ModelConfig& config, const TensorMap& parameters)
      : config_(config), parameters_(parameters) {}

  Linear MakeLinear(const std::string& name, bool transposed = false) const;
  Norm MakeNorm(const std::string& name) const;
  bool Has(const std::string& name) const {  // a linear map or an embedding
    return !name.empty() && Find(name + ".weight").defined();
  }
  // `first_ffn_idx` is the index, among the model's FFNs, of the stack's first.
  Stack MakeStack(const StackNames& names, const StackConfig& stack, size_t first_ffn_idx) const;
  FfnWeights MakeFfn(const FfnSpec& spec) const;
  // [vocab] or undefined
  at::Tensor MakeLogitsBias(const std::string& name) const;

 private:
  at::Tensor Find(const std::string& name) const;    // undefined when absent
  at::Tensor Weight(const std::string& name) const;  // "": undefined
  Attention MakeAttention(const AttentionNames& names, const StackConfig& stack,
                          int64_t layer_idx) const;
  void TakeApart(const Linear& qkv, const StackConfig& stack, Attention& attention) const;

  const ModelConfig& config_;
  const TensorMap& parameters_;
};

}  // namespace moefy::model
