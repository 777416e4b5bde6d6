#include "moefy/model/transformer.h"

#include <cmath>

#include "model/layers.h"
#include "moefy/base/error.h"
#include "moefy/model/family.h"

namespace moefy::model {
namespace {

struct Block {
  Norm attention_norm;
  Attention attention;
  Norm cross_norm;
  std::optional<Attention> cross;
  Norm ffn_norm;
};

struct Stack {
  std::string prefix;  // of hidden state names: "", "encoder.", "decoder."
  bool causal = false;
  std::vector<Block> blocks;
  at::Tensor relative_bias;  // [buckets, heads] or undefined
  Norm final_norm;
  size_t first_ffn_idx = 0;
};

// Looks parameters up by the family's names; "" and absent biases give undefined tensors.
class Builder {
 public:
  Builder(const ModelConfig& config, const TensorMap& parameters)
      : config_(config), parameters_(parameters) {}

  at::Tensor Weight(const std::string& name) const {
    if (name.empty()) return {};
    const auto found = parameters_.find(name + ".weight");
    MOEFY_CHECK(found != parameters_.end());  // ReadParameters has reported missing ones
    return found->second;
  }
  at::Tensor Bias(const std::string& name) const {
    const auto found = parameters_.find(name + ".bias");
    return found == parameters_.end() ? at::Tensor() : found->second;
  }
  Linear MakeLinear(const std::string& name) const { return {Weight(name), Bias(name)}; }
  Norm MakeNorm(const std::string& name) const {
    return {Weight(name), Bias(name), config_.norm_epsilon};
  }
  Attention MakeAttention(const AttentionNames& names, int64_t layer_idx) const {
    const auto linear = [&](const std::string& name) {
      return MakeLinear(LayerName(name, layer_idx));
    };
    const double scale =
        config_.scale_attention ? 1.0 / std::sqrt(static_cast<double>(config_.head_dim)) : 1.0;
    return {linear(names.query),  linear(names.key), linear(names.value),
            linear(names.output), config_.num_heads, scale};
  }
  Stack MakeStack(const StackNames& names, int64_t num_layers, const std::string& prefix) const {
    Stack stack;
    stack.prefix = prefix;
    for (int64_t layer_idx = 0; layer_idx < num_layers; ++layer_idx) {
      Block block;
      block.attention_norm = MakeNorm(LayerName(names.attention_norm, layer_idx));
      block.attention = MakeAttention(names.attention, layer_idx);
      block.cross_norm = MakeNorm(LayerName(names.cross_norm, layer_idx));
      if (!names.cross.query.empty()) block.cross = MakeAttention(names.cross, layer_idx);
      block.ffn_norm = MakeNorm(LayerName(names.ffn_norm, layer_idx));
      stack.blocks.push_back(std::move(block));
    }
    stack.relative_bias = Weight(names.relative_bias);
    stack.final_norm = MakeNorm(names.final_norm);
    return stack;
  }
  FfnWeights MakeFfn(const FfnSpec& spec) const {
    const auto tensor = [&](const std::string& name) {
      return name.empty() ? at::Tensor() : parameters_.at(name);
    };
    return {tensor(spec.w_in),      tensor(spec.b_in),  tensor(spec.w_gate),
            tensor(spec.w_out).t(), tensor(spec.b_out), spec.activation};
  }

 private:
  const ModelConfig& config_;
  const TensorMap& parameters_;
};

void CheckIds(const at::Tensor& ids, int64_t limit, const char* what) {
  if (ids.dim() != 2 || ids.scalar_type() != at::kLong) {
    throw InputError(what, " has shape ", FormatShape(ids.sizes().vec()),
                     "; expected I64 [batch, tokens]");
  }
  if (ids.numel() == 0) throw InputError(what, " is empty");
  const int64_t lowest = ids.min().item<int64_t>(), highest = ids.max().item<int64_t>();
  if (lowest < 0 || highest >= limit) {
    throw InputError(what, " holds ", lowest < 0 ? lowest : highest, "; expected ids from 0 to ",
                     limit - 1);
  }
}

void CheckSameShape(const at::Tensor& tensor, const at::Tensor& ids, const char* what) {
  if (tensor.defined() && tensor.sizes() != ids.sizes()) {
    throw InputError(what, " has shape ", FormatShape(tensor.sizes().vec()),
                     "; the ids beside it have ", FormatShape(ids.sizes().vec()));
  }
}

}  // namespace

struct Transformer::Impl {
  ModelConfig config;
  at::Tensor token_embedding;       // [vocab, hidden]
  at::Tensor position_embedding;    // [positions, hidden] or undefined
  at::Tensor token_type_embedding;  // [types, hidden] or undefined
  Norm embedding_norm;
  Stack encoder;
  Stack decoder;
  at::Tensor output_embedding;  // [vocab, hidden], language models
  Linear pooler, classifier, span_head;
  std::vector<FfnSpec> specs;
  std::vector<std::unique_ptr<FeedForward>> ffns;

  // Packed embeddings of a padded batch of ids.
  at::Tensor Embed(const at::Tensor& ids, const at::Tensor& token_types,
                   const Packing& packing) const {
    at::Tensor x = at::embedding(token_embedding, packing.Pack(ids));  // [rows, hidden]
    if (position_embedding.defined()) {
      x = x + at::embedding(position_embedding, packing.Positions());
    }
    if (token_type_embedding.defined()) {
      x = x + (token_types.defined()
                   ? at::embedding(token_type_embedding, packing.Pack(token_types))
                   : token_type_embedding[0]);
    }
    return embedding_norm.weight.defined() ? embedding_norm(x) : x;
  }

  // x [rows, hidden] through a stack. `memory` is the encoder's output for a decoder.
  at::Tensor Run(const Stack& stack, at::Tensor x, const Packing& packing, const at::Tensor& memory,
                 const Packing& memory_packing, const StateSink& sink) {
    const bool pre_norm = config.norm_place == NormPlace::kPre;
    const int64_t tokens = packing.tokens();
    at::Tensor bias = packing.KeyBias();
    if (stack.causal) bias = AddBias(bias, CausalBias(tokens));
    if (stack.relative_bias.defined()) {
      bias = AddBias(bias, RelativeBias(stack.relative_bias, tokens, tokens, !stack.causal,
                                        config.relative_max_distance));
    }
    const at::Tensor memory_bias = memory_packing.KeyBias();
    // One sub-layer with its norm and residual sum.
    const auto residual = [&](const at::Tensor& in, const Norm& norm, const auto& sub_layer) {
      return pre_norm ? in + sub_layer(norm(in)) : norm(in + sub_layer(in));
    };
    const auto report = [&](const std::string& name, const at::Tensor& states) {
      if (sink) sink(stack.prefix + name, packing.Unpack(states));
    };
    for (size_t i = 0; i < stack.blocks.size(); ++i) {
      report(StrCat("hidden_states.", i), x);
      const Block& block = stack.blocks[i];
      x = residual(x, block.attention_norm, [&](const at::Tensor& in) {
        return block.attention(in, packing, in, packing, bias);
      });
      if (block.cross) {
        x = residual(x, block.cross_norm, [&](const at::Tensor& in) {
          return (*block.cross)(in, packing, memory, memory_packing, memory_bias);
        });
      }
      x = residual(x, block.ffn_norm, [&](const at::Tensor& in) {
        report(StrCat("ffn.", i, ".input"), in);
        const at::Tensor out = ffns[stack.first_ffn_idx + i]->Forward(in);
        report(StrCat("ffn.", i, ".output"), out);
        return out;
      });
    }
    if (stack.final_norm.weight.defined()) x = stack.final_norm(x);
    report(StrCat("hidden_states.", stack.blocks.size()), x);
    return x;
  }

  void Check(const ForwardInputs& inputs) const {
    CheckIds(inputs.input_ids, config.vocab_size, "input_ids");
    CheckSameShape(inputs.attention_mask, inputs.input_ids, "attention_mask");
    CheckSameShape(inputs.token_type_ids, inputs.input_ids, "token_type_ids");
    if (inputs.token_type_ids.defined() && config.num_token_types > 0) {
      CheckIds(inputs.token_type_ids, config.num_token_types, "token_type_ids");
    }
    if (position_embedding.defined() && inputs.input_ids.size(1) > config.max_positions) {
      throw InputError("the input is ", inputs.input_ids.size(1), " tokens long; this model has ",
                       config.max_positions, " positions");
    }
    if (config.architecture != Architecture::kEncoderDecoder) return;
    if (!inputs.decoder_input_ids.defined()) {
      throw InputError("decoder_input_ids are missing; a ", config.family, " model needs them");
    }
    CheckIds(inputs.decoder_input_ids, config.vocab_size, "decoder_input_ids");
    CheckSameShape(inputs.decoder_attention_mask, inputs.decoder_input_ids,
                   "decoder_attention_mask");
    if (inputs.decoder_input_ids.size(0) != inputs.input_ids.size(0)) {
      throw InputError("decoder_input_ids have a batch of ", inputs.decoder_input_ids.size(0),
                       ", input_ids of ", inputs.input_ids.size(0));
    }
  }
};

Transformer::Transformer(ModelConfig config, const TensorMap& parameters)
    : impl_(std::make_unique<Impl>()) {
  const ModelNames& names = GetFamily(config.family).names;
  const Builder build(config, parameters);
  const bool one_stack = config.architecture == Architecture::kEncoder;
  Impl& m = *impl_;
  m.token_embedding = build.Weight(names.token_embedding);
  m.position_embedding = build.Weight(names.position_embedding);
  m.token_type_embedding = build.Weight(names.token_type_embedding);
  m.embedding_norm = build.MakeNorm(names.embedding_norm);
  m.encoder =
      build.MakeStack(names.encoder, config.num_encoder_layers, one_stack ? "" : "encoder.");
  if (!one_stack) {
    m.decoder = build.MakeStack(names.decoder, config.num_decoder_layers, "decoder.");
    m.decoder.causal = true;
    m.decoder.first_ffn_idx = m.encoder.blocks.size();
  }
  switch (config.head) {
    case Head::kLanguageModel:
      m.output_embedding =
          config.tied_embeddings ? m.token_embedding : build.Weight(names.language_model_head);
      break;
    case Head::kSequenceClassification:
      m.pooler = build.MakeLinear(names.pooler);
      m.classifier = build.MakeLinear(names.classifier);
      break;
    case Head::kQuestionAnswering:
      m.span_head = build.MakeLinear(names.span_head);
      break;
  }
  m.specs = FfnSpecs(config);
  for (const FfnSpec& spec : m.specs) {
    m.ffns.push_back(parameters.contains(spec.w_in)
                         ? std::make_unique<DenseFeedForward>(build.MakeFfn(spec))
                         : nullptr);
  }
  m.config = std::move(config);
}

Transformer::~Transformer() = default;
Transformer::Transformer(Transformer&&) noexcept = default;
Transformer& Transformer::operator=(Transformer&&) noexcept = default;

ForwardOutputs Transformer::Forward(const ForwardInputs& inputs, const StateSink& sink) {
  Impl& m = *impl_;
  m.Check(inputs);
  const at::Tensor& ids = inputs.input_ids;
  const Packing packing(ids.size(0), ids.size(1), inputs.attention_mask);
  at::Tensor x =
      m.Run(m.encoder, m.Embed(ids, inputs.token_type_ids, packing), packing, {}, {}, sink);
  ForwardOutputs outputs;
  switch (m.config.head) {
    case Head::kSequenceClassification: {
      const at::Tensor first = packing.Unpack(x).select(1, 0);  // [batch, hidden]
      outputs.logits = m.classifier(at::tanh(m.pooler(first)));
      return outputs;
    }
    case Head::kQuestionAnswering: {
      const at::Tensor spans = packing.Unpack(m.span_head(x));  // [batch, tokens, 2]
      outputs.start_logits = spans.select(2, 0);
      outputs.end_logits = spans.select(2, 1);
      return outputs;
    }
    case Head::kLanguageModel:
      break;
  }
  if (sink) sink("encoder.last_hidden_state", packing.Unpack(x));
  const at::Tensor& decoder_ids = inputs.decoder_input_ids;
  const Packing decoder_packing(decoder_ids.size(0), decoder_ids.size(1),
                                inputs.decoder_attention_mask);
  x = m.Run(m.decoder, m.Embed(decoder_ids, {}, decoder_packing), decoder_packing, x, packing,
            sink);
  if (m.config.logits_scale != 1.0) x = x * m.config.logits_scale;
  outputs.logits = decoder_packing.Unpack(at::linear(x, m.output_embedding));
  return outputs;
}

const ModelConfig& Transformer::config() const { return impl_->config; }
size_t Transformer::num_ffns() const { return impl_->ffns.size(); }
const FfnSpec& Transformer::ffn_spec(size_t ffn_idx) const { return impl_->specs.at(ffn_idx); }
FeedForward& Transformer::feed_forward(size_t ffn_idx) { return *impl_->ffns.at(ffn_idx); }

std::unique_ptr<FeedForward> Transformer::ExchangeFeedForward(size_t ffn_idx,
                                                              std::unique_ptr<FeedForward> ffn) {
  std::swap(impl_->ffns.at(ffn_idx), ffn);
  return ffn;
}

}  // namespace moefy::model
