// The one Transformer all families run on. No family has code of its own: ModelConfig says which
// of a handful of choices to take.
// Thread-safety: one call at a time per object. Differentiable unless under at::NoGradGuard.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/config.h"
#include "moefy/model/feed_forward.h"
#include "moefy/model/ffn.h"
#include "moefy/model/linear.h"
#include "moefy/model/tensor_io.h"

namespace moefy::model {

// All tensors I64; undefined where the model takes none. A missing mask means no padding; padding
// may be on either side. Positions follow from ids and mask, as the family counts them.
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
  // Sequence classification [batch, labels]; of tokens [batch, tokens, labels]; language models,
  // masked or not, [batch, tokens, vocab].
  at::Tensor logits;
  at::Tensor start_logits;  // question answering [batch, tokens]
  at::Tensor end_logits;
  // Without a head: [batch, tokens, hidden], zero at padding, and [batch, hidden], which only
  // models with a pooler have.
  at::Tensor last_hidden_state;
  at::Tensor pooler_output;
};

// What a decoder remembers between steps: the keys and values of every layer.
struct DecodingState;

// Compares the checkpoint's headers with what the config implies. Throws Error{kInput} listing all
// tensors that are missing or of another shape, but for those `left_out`; says in `warnings` which
// ones the model does not use.
void CheckParameters(const io::Checkpoint& checkpoint, const ModelConfig& config,
                     std::vector<std::string>* warnings = nullptr,
                     const std::set<std::string>& left_out = {});

// Reads every tensor the model has, without keeping any: Error{kInput} for values that are not
// finite, as ReadParameters gives. For those who copy tensors and do not compute on them.
void CheckValues(const io::Checkpoint& checkpoint, const ModelConfig& config);

// Whoever puts FFNs and linear maps of his own in need not have the dense ones in memory:
// kForExchange leaves the FFNs' tensors out, and what is stored as F32 stays in the mapped file, to
// be read only and only as long as the checkpoint lives.
enum class Parts { kAll, kForExchange };

// Checks, then reads every tensor the family expects, as F32, but for those `left_out`.
TensorMap ReadParameters(const io::Checkpoint& checkpoint, const ModelConfig& config,
                         std::vector<std::string>* warnings = nullptr, Parts parts = Parts::kAll,
                         std::set<std::string> left_out = {});

// Computes on the device of its parameters, where what enters a FeedForward is too. What callers
// get is where the ids are that they give.
class Transformer {
 public:
  // FFNs whose tensors are not among the parameters must be put in before anything runs.
  Transformer(ModelConfig config, const TensorMap& parameters);
  ~Transformer();
  Transformer(Transformer&&) noexcept;
  Transformer& operator=(Transformer&&) noexcept;

  // Throws Error{kInput} when ids are outside the vocabulary, shapes disagree, or the text is
  // longer than the position table.
  ForwardOutputs Forward(const ForwardInputs& inputs, const StateSink& sink = nullptr);
  // All but the head, for those who want what is inside, or few of the logits: what the head reads,
  // [batch, tokens, width], zero at padding. A language model's logits are by far the largest
  // thing a run can make. Throws as Forward.
  at::Tensor ForwardHidden(const ForwardInputs& inputs, const StateSink& sink = nullptr);
  // Of a language model: rows of what ForwardHidden gives, [rows, width] -> [rows, vocab].
  at::Tensor Logits(const at::Tensor& hidden) const;
  // The same in blocks of rows with no more than 64 MB of logits (or one row); `use` gets each
  // block's first row and its logits.
  using LogitsSink = std::function<void(int64_t first, const at::Tensor& logits)>;
  void LogitsInBlocks(const at::Tensor& hidden, const LogitsSink& use) const;

  // Decoding in steps (model/generation.h does it all), for models with a decoder. Nothing is
  // computed twice: StartDecoding runs the encoder, if there is one, on `inputs`; Decode runs the
  // decoder on further tokens, ids and mask [batch, tokens] (undefined: all real), and returns the
  // logits of the last column, [batch, vocab], of no meaning where that is padding; the next call
  // with the same state may overwrite them. Throws as Forward.
  std::shared_ptr<DecodingState> StartDecoding(const ForwardInputs& inputs);
  at::Tensor Decode(DecodingState& state, const at::Tensor& ids, const at::Tensor& mask = {});

  const ModelConfig& config() const;
  size_t num_ffns() const;
  const FfnSpec& ffn_spec(size_t ffn_idx) const;
  FeedForward& feed_forward(size_t ffn_idx);
  // Puts other implementations of all linear maps of the stacks and of the output projection in,
  // once, on the CPU; weight [out, in], bias [out] or undefined. Queries, keys and values of
  // self-attention become one. Not differentiable afterwards. The old weights are dropped.
  // Decoding one token at a time then makes no tensors.
  using LinearMaker = std::function<std::shared_ptr<const LinearKernel>(const at::Tensor& weight,
                                                                        const at::Tensor& bias)>;
  void ExchangeLinears(const LinearMaker& make);
  // Puts another implementation in; returns the one that was there.
  std::unique_ptr<FeedForward> ExchangeFeedForward(size_t ffn_idx,
                                                   std::unique_ptr<FeedForward> ffn);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// config.json and weights of a directory, ready to run on `device`.
Transformer LoadTransformer(const io::Checkpoint& checkpoint,
                            std::vector<std::string>* warnings = nullptr, Parts parts = Parts::kAll,
                            at::Device device = at::kCPU);

}  // namespace moefy::model
