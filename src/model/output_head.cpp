#include "model/output_head.h"

#include "moefy/model/ffn.h"

namespace moefy::model {
namespace {

// Maps x [batch, tokens, width] to [batch, width]: for encoders, the first token or the mean of all
// real ones; for decoders, the last real token.
at::Tensor Summarize(const ModelConfig& config, const at::Tensor& x, const at::Tensor& mask) {
  const bool encoder_only = config.architecture == Architecture::kEncoder;
  if (encoder_only && !config.mean_pooling) return x.select(1, 0);
  const int64_t tokens = x.size(1);
  if (encoder_only) {  // padding is zero
    const at::Tensor sum = x.sum(1);
    return mask.defined() ? sum / (mask != 0).sum(1, /*keepdim=*/true) : sum / tokens;
  }
  if (!mask.defined()) return x.select(1, tokens - 1);
  const at::Tensor last =
      ((mask != 0) * at::arange(tokens, mask.options().dtype(at::kLong))).argmax(1);  // [batch]
  return x.take_along_dim(last.view({-1, 1, 1}), 1).squeeze(1);
}

}  // namespace

OutputHead MakeOutputHead(const ModelConfig& config, const ModelNames& names, const Builder& build,
                          const at::Tensor& embedding) {
  OutputHead head;
  head.dense = build.MakeLinear(names.head_dense);
  head.norm = build.MakeNorm(names.head_norm);
  switch (config.head) {
    case Head::kLanguageModel:
    case Head::kMaskedLanguageModel:
      head.output = config.tied_embeddings ? Linear{embedding, {}}
                                           : build.MakeLinear(names.language_model_head);
      head.logits_bias = build.MakeLogitsBias(names.logits_bias);
      break;
    case Head::kSequenceClassification:
      head.pooler = build.MakeLinear(names.pooler);
      head.classifier = build.MakeLinear(names.classifier);
      break;
    case Head::kTokenClassification:
      head.classifier = build.MakeLinear(names.classifier);
      break;
    case Head::kQuestionAnswering:
      head.span_head = build.MakeLinear(names.span_head);
      break;
    case Head::kNone:
      if (build.Has(names.pooler)) head.pooler = build.MakeLinear(names.pooler);
      break;
  }
  return head;
}

at::Tensor OutputHead::Transform(const ModelConfig& config, const at::Tensor& x) const {
  if (!dense.defined()) return x;
  const at::Tensor y = Activate(config.head_activation, dense(x));
  return norm.weight.defined() ? norm(y) : y;
}

at::Tensor OutputHead::Logits(const ModelConfig& config, const at::Tensor& x) const {
  const at::Tensor y = Transform(config, x);
  at::Tensor logits = output(config.logits_scale != 1.0 ? y * config.logits_scale : y);
  if (logits_bias.defined()) logits = logits + logits_bias;
  const double cap = config.logits_softcap;
  return cap > 0 ? at::tanh(logits / cap) * cap : logits;
}

at::Tensor OutputHead::Pool(const ModelConfig& config, const at::Tensor& x) const {
  const at::Tensor pooled = pooler(x);
  return config.pooler_activation ? Activate(*config.pooler_activation, pooled) : at::tanh(pooled);
}

ForwardOutputs OutputHead::Outputs(const ModelConfig& config, const at::Tensor& x,
                                   const Packing& packing, const at::Tensor& mask) const {
  ForwardOutputs outputs;
  switch (config.head) {
    case Head::kSequenceClassification: {
      const at::Tensor summary = Summarize(config, packing.Unpack(x), mask);
      outputs.logits =
          classifier(Transform(config, pooler.defined() ? Pool(config, summary) : summary));
      break;
    }
    case Head::kQuestionAnswering: {
      const at::Tensor spans = packing.Unpack(span_head(Transform(config, x)));
      outputs.start_logits = spans.select(2, 0);
      outputs.end_logits = spans.select(2, 1);
      break;
    }
    case Head::kTokenClassification:
      outputs.logits = packing.Unpack(classifier(Transform(config, x)));
      break;
    case Head::kLanguageModel:
    case Head::kMaskedLanguageModel:
      outputs.logits = packing.Unpack(Logits(config, x));
      break;
    case Head::kNone:
      outputs.last_hidden_state = packing.Unpack(x);
      if (pooler.defined()) {
        outputs.pooler_output = Pool(config, outputs.last_hidden_state.select(1, 0));
      }
      break;
  }
  return outputs;
}

}  // namespace moefy::model
