// What stands behind a model's last stack: the maps of its head, and what they make of the hidden
// states. Thread-safety: const objects may be shared.
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
  Linear dense;            // with `norm`: what some heads do before their last map
  Norm norm;
  Linear pooler, classifier, span_head;

  // x [..., hidden] -> [..., vocab] of a language model; `dense` comes before it.
  at::Tensor Logits(const ModelConfig& config, const at::Tensor& x) const;
  // x [..., hidden] -> [..., width] of the last map.
  at::Tensor Transform(const ModelConfig& config, const at::Tensor& x) const;
  // x [rows, hidden] of the last stack, `packing` of its rows and `mask` [batch, tokens] or
  // undefined, all on one device, where the outputs are too.
  ForwardOutputs Outputs(const ModelConfig& config, const at::Tensor& x, const Packing& packing,
                         const at::Tensor& mask) const;

 private:
  // x [batch, hidden] -> [batch, hidden]
  at::Tensor Pool(const ModelConfig& config, const at::Tensor& x) const;
};

// The head that `config` names; `embedding` is that of the last stack.
OutputHead MakeOutputHead(const ModelConfig& config, const ModelNames& names, const Builder& build,
                          const at::Tensor& embedding);

}  // namespace moefy::model
