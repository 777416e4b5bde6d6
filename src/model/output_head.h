// The head of a model, which reads the hidden states of its last stack. Thread-safety: const
// objects may be shared.
#pragma once

#include <ATen/ATen.h>

#include "model/layers.h"
#include "model/stack.h"
#include "moefy/model/config.h"
#include "moefy/model/transformer.h"

namespace moefy::model {

struct OutputHead {
  Linear output;           // [vocab, embedding width], language models
  at::Tensor logits_bias;  // [vocab] or undefined
  Linear dense;            // with `norm`: what some heads apply before their last map
  Norm norm;
  Linear pooler, classifier, span_head;

  // The logits of a language model: x [..., hidden] to [..., vocab]. Transform() is part of it.
  at::Tensor Logits(const ModelConfig& config, const at::Tensor& x) const;
  // Applies `dense` and `norm` if the head has them: x [..., hidden] to [..., width of the last
  // map].
  at::Tensor Transform(const ModelConfig& config, const at::Tensor& x) const;
  // The outputs of the model from x [rows, hidden] of the last stack, the `packing` of its rows and
  // `mask` [batch, tokens] or undefined. All are on one device, and the outputs too.
  ForwardOutputs Outputs(const ModelConfig& config, const at::Tensor& x, const Packing& packing,
                         const at::Tensor& mask) const;

 private:
  // x [batch, hidden] -> [batch, hidden]
  at::Tensor Pool(const ModelConfig& config, const at::Tensor& x) const;
};

// Makes the head that `config` names; `embedding` is the token embedding of the last stack.
OutputHead MakeOutputHead(const ModelConfig& config, const ModelNames& names, const Builder& build,
                          const at::Tensor& embedding);

}  // namespace moefy::model
