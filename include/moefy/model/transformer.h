// The one Transformer all families run on. No family has code of its own: ModelConfig says which
// of a handful of choices to take.
// Thread-safety: one call at a time per object. Differentiable unless under at::NoGradGuard.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/config.h"
#include "moefy/model/feed_forward.h"
#include "moefy/model/ffn.h"
#include "moefy/model/tensor_io.h"

namespace moefy::model {

// All tensors are I64. A tensor that the model does not take stays undefined. No mask means that
// there is no padding; padding may be on either side. Positions follow from ids and mask, as the
// family counts them.
struct ForwardInputs {
  at::Tensor input_ids;               // [batch, tokens]
  at::Tensor attention_mask;          // [batch, tokens], 1 for real tokens
  at::Tensor token_type_ids;          // [batch, tokens]
  at::Tensor decoder_input_ids;       // [batch, decoder_tokens]
  at::Tensor decoder_attention_mask;  // [batch, decoder_tokens]
};

// Receives what a run computes on the way, under the names of the recorded reference outputs:
// "hidden_states.0" (the embeddings) ... "hidden_states.N" (after the final norm), "ffn.0.input",
// "ffn.0.output"; encoder-decoders put "encoder." or "decoder." before them and add
// "encoder.last_hidden_state". Each tensor is [batch, tokens, hidden], zero at padded positions;
// the last one is narrower where embeddings are.
using StateSink = std::function<void(const std::string& name, const at::Tensor& states)>;

struct ForwardOutputs {
  // [batch, labels] of sequence classification; [batch, tokens, labels] of token classification;
  // [batch, tokens, vocab] of language models, masked or not.
  at::Tensor logits;
  at::Tensor start_logits;  // [batch, tokens] of question answering
  at::Tensor end_logits;
  // A model without a head gives these two.
  at::Tensor last_hidden_state;  // [batch, tokens, hidden], zero at padding
  at::Tensor pooler_output;      // [batch, hidden], if the model has a pooler
};

class LinearKernel;  // model/linear.h

// What a decoder remembers between steps: the keys and values of every layer.
struct DecodingState;

// Which tensors are read. kAll: all, as F32 in memory. kAsStored: the weights of embeddings, linear
// maps and FFNs stay in the mapped file in the type that they have there, and each is turned into
// F32 whenever it is used, so that a model of any size runs in the memory of its largest weight;
// for the CPU, for inference, and while the checkpoint lives. kForExchange is for callers who put
// in FFNs and linear maps of their own and need not have the dense ones in memory: it leaves the
// FFNs' tensors out, and tensors stored as F32 stay in the mapped file, where they may be read, not
// written, while the checkpoint lives. kPacked: as kForExchange, and the weights of linear maps
// have a shape and no values (device meta), because whoever exchanges them has them packed.
enum class Parts { kAll, kAsStored, kForExchange, kPacked };

struct RowKernels;  // model/row_kernels.h

// Computes on the device of its parameters; a FeedForward gets its inputs there too. Outputs are on
// the device of the ids that the caller gives.
class Transformer {
 public:
  // If an FFN's tensors are not among the parameters, ExchangeFeedForward must put one in before
  // anything runs.
  Transformer(ModelConfig config, const TensorMap& parameters);
  ~Transformer();
  Transformer(Transformer&&) noexcept;
  Transformer& operator=(Transformer&&) noexcept;

  // Throws Error{kInput} when ids are outside the vocabulary, shapes disagree, or the text is
  // longer than the position table.
  ForwardOutputs Forward(const ForwardInputs& inputs, const StateSink& sink = nullptr);
  // Runs all but the head and returns what the head reads, [batch, tokens, width], zero at padding:
  // for callers who want what is inside, or few of the logits. A language model's logits are by far
  // the largest thing a run can make. Throws as Forward.
  at::Tensor ForwardHidden(const ForwardInputs& inputs, const StateSink& sink = nullptr);
  // The logits of a language model for rows of what ForwardHidden gives: [rows, width] to
  // [rows, vocab].
  at::Tensor Logits(const at::Tensor& hidden) const;
  // Computes the same in blocks of rows that have at most 64 MB of logits (or are one row). `use`
  // gets each block's first row and its logits.
  using LogitsSink = std::function<void(int64_t first, const at::Tensor& logits)>;
  void LogitsInBlocks(const at::Tensor& hidden, const LogitsSink& use) const;

  // Decoding in steps, for models with a decoder; Generate() of model/generation.h is made of it.
  // Nothing is computed twice. StartDecoding runs the encoder, if there is one, on `inputs`. Decode
  // runs the decoder on further tokens, ids and mask [batch, tokens] (undefined: all are real), and
  // returns the logits of the last column, [batch, vocab]. They mean nothing for a text whose last
  // column is padding, and the next call with the same state may overwrite them. Throws as Forward.
  std::shared_ptr<DecodingState> StartDecoding(const ForwardInputs& inputs);
  at::Tensor Decode(DecodingState& state, const at::Tensor& ids, const at::Tensor& mask = {});

  const ModelConfig& config() const;
  size_t num_ffns() const;
  const FfnSpec& ffn_spec(size_t ffn_idx) const;
  FeedForward& feed_forward(size_t ffn_idx);
  // Replaces all linear maps of the stacks and the output projection by kernels that `make` builds
  // from weight [out, in] and bias [out] or undefined; the output projection, which comes last, is
  // told apart. Queries, keys and values of self-attention become one map. To be called once, on
  // the CPU. The old weights are dropped, the model is not differentiable any more, and decoding
  // one token at a time makes no tensors.
  using LinearMaker = std::function<std::shared_ptr<const LinearKernel>(
      const at::Tensor& weight, const at::Tensor& bias, bool is_output)>;
  void ExchangeLinears(const LinearMaker& make);
  // Lets kernels (model/row_kernels.h) compute attention and norms. To be called once, on the CPU.
  void ExchangeRowKernels(const RowKernels& kernels);
  // Replaces one FFN and returns the one that was there.
  std::unique_ptr<FeedForward> ExchangeFeedForward(size_t ffn_idx,
                                                   std::unique_ptr<FeedForward> ffn);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Reads config.json and weights into a Transformer that is ready to run on `device`, which is the
// CPU unless parts is kAll.
Transformer LoadTransformer(const io::Checkpoint& checkpoint,
                            std::vector<std::string>* warnings = nullptr, Parts parts = Parts::kAll,
                            at::Device device = at::kCPU);

}  // namespace moefy::model
