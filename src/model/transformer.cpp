#include "moefy/model/transformer.h"

#include <algorithm>
#include <utility>

#include "io/mapped_file.h"
#include "model/blas_core.h"
#include "model/decoding_state.h"
#include "model/device.h"
#include "model/disentangled.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "model/forward_check.h"
#include "model/linear.h"
#include "model/mixture.h"
#include "model/output_head.h"
#include "model/read_parameters.h"
#include "model/stack.h"
#include "moefy/base/error.h"
#include "moefy/base/progress.h"

namespace moefy::model {
namespace {

// Called once a layer, and again on the way back through it: a batch may take long.
void PollForInterrupt(const at::Tensor& x) {
  ThrowIfInterrupted();
  if (!x.requires_grad()) return;
  x.register_hook([](const at::Tensor& gradient) {
    ThrowIfInterrupted();
    return gradient;
  });
}

}  // namespace

struct Transformer::Impl {
  ModelConfig config;
  at::Device device = at::kCPU;  // of the parameters
  Stack encoder;
  Stack decoder;
  OutputHead head;
  std::vector<FfnSpec> specs;
  std::vector<std::unique_ptr<FeedForward>> ffns;

  // The packed embeddings [rows, width] of a padded batch of ids; `positions` are [rows].
  at::Tensor Embed(const Stack& stack, const at::Tensor& ids, const at::Tensor& token_types,
                   const Packing& packing, const at::Tensor& positions) const {
    at::Tensor x =  // [rows, width]
        Widened(at::embedding(stack.token_embedding, packing.Pack(ids)));
    if (config.embedding_scale != 1.0) x = x * config.embedding_scale;
    if (config.zero_start && stack.causal) {
      x = x * (positions != config.position_offset).unsqueeze(1);
    }
    const bool narrow = config.narrow_embeddings;
    if (stack.project_in.defined() && !narrow) x = stack.project_in(x);
    if (stack.position_embedding.defined()) {
      x = x + at::embedding(stack.position_embedding, positions);
    } else if (config.position == PositionKind::kSinusoidal) {
      const at::Tensor sinusoids = Sinusoids(positions, config.hidden, config.sinusoid_steps);
      // Tokens that count no position stand before the first one, and get zeros.
      x = x + sinusoids * (positions >= config.position_offset).unsqueeze(1);
    }
    if (stack.token_type_embedding.defined()) {
      x = x + (token_types.defined()
                   ? at::embedding(stack.token_type_embedding, packing.Pack(token_types))
                   : stack.token_type_embedding[0]);
    }
    if (stack.embedding_norm.weight.defined()) x = stack.embedding_norm(x);
    return stack.project_in.defined() && narrow ? stack.project_in(x) : x;
  }

  // What positions mean to self-attention, in layers with a window and in layers without.
  struct Positions {
    ScoreBias bias;  // added to its scores
    Rotation rotation;
  };
  struct PositionsByKind {
    Positions windowed, all;
  };
  PositionsByKind MakePositions(const Stack& stack, const Packing& packing,
                                const at::Tensor& positions, DecodingState* state) const {
    ScoreBias bias;
    bias.keys = state ? state->AppendKeyBias(packing) : packing.KeyBias();
    const int64_t tokens = packing.texts().empty() ? packing.tokens() : packing.longest_text();
    bias.causal = stack.causal;
    bias.relative = stack.relative_bias;
    bias.max_distance = config.relative_max_distance;
    bias.first_query = state ? state->length : 0;
    bias.num_keys = bias.first_query + tokens;
    bias.device = device;
    const auto with_window = [&](int64_t window) {
      ScoreBias made = bias;
      made.window = window;
      if (!stack.blocks.empty()) {
        made.Keep(packing.batch(), stack.blocks.front().attention.num_heads, tokens);
      }
      return made;
    };
    PositionsByKind made;
    made.windowed.bias = with_window(config.sliding_window);
    made.all.bias = config.sliding_window > 0 ? with_window(0) : made.windowed.bias;
    if (config.position == PositionKind::kRotary) {
      made.all.rotation = MakeRotation(config.rotary, positions);
      made.windowed.rotation =
          config.local_rotary ? MakeRotation(*config.local_rotary, positions) : made.all.rotation;
    }
    return made;
  }

  bool AttendsByTexts(const Stack& stack) const {
    return !stack.blocks.empty() && stack.blocks.front().attention.kernel &&
           !at::GradMode::is_enabled();
  }

  // Runs a padded batch through a stack, to [rows, width]. `ids` and `mask` are as they were given,
  // all else is on the device. A decoder reads `memory`, the encoder's output. `state` holds
  // what came before, and takes what is new.
  at::Tensor Run(const Stack& stack, const at::Tensor& ids, const at::Tensor& token_types,
                 const at::Tensor& mask, const Packing& packing, const at::Tensor& memory,
                 const Packing& memory_packing, DecodingState* state, const StateSink& sink) {
    std::vector<int64_t> no_counts;
    std::vector<int64_t>& counts = state ? state->counts : no_counts;
    counts.resize(static_cast<size_t>(packing.batch()));
    const at::Tensor positions = packing.Pack(  // [rows]
        TokenPositions(config, ids, mask, state ? state->length : 0, counts).to(device));
    at::Tensor x = Embed(stack, ids.to(device), token_types, packing, positions);
    // Without padding where each text's tokens are neighbours and kernels can tell texts apart.
    const bool by_texts = !state && !stack.relative_embedding.defined() && AttendsByTexts(stack);
    const Packing in_attention = by_texts ? packing.AsTexts() : packing;
    const PositionsByKind by_kind = MakePositions(stack, in_attention, positions, state);
    const ScoreBias memory_bias{memory_packing.KeyBias()};
    const auto report = [&](const at::Tensor& states, const auto&... name) {
      if (sink) sink(StrCat(stack.prefix, name...), packing.Unpack(states));
    };
    const auto self_attention = [&](size_t i, const at::Tensor& in) {
      const Attention& attention = stack.blocks[i].attention;
      const LayerAttention layer = config.attention_of(static_cast<int64_t>(i));
      const Positions& at_layer = layer.windowed ? by_kind.windowed : by_kind.all;
      const Rotation rotation = layer.rotary ? at_layer.rotation : Rotation{};
      KeysValues keys_values = attention.Project(in, in_attention, rotation);
      if (state) {
        const at::Tensor queries = keys_values.queries;
        keys_values = state->Append(i, keys_values);
        keys_values.queries = queries;
      }
      ScoreBias bias = at_layer.bias;
      bias.layer_relative = stack.blocks[i].relative_bias;
      if (stack.relative_embedding.defined()) {
        if (!keys_values.queries.defined()) keys_values.queries = attention.query(in);
        bias.of_layer =
            DisentangledBias(config, attention, stack.relative_embedding, keys_values, packing);
      }
      return attention(in, in_attention, rotation, keys_values, bias);
    };
    const auto recurrence = [&](size_t i, const at::Tensor& in) {
      if (state) state->cells.resize(stack.blocks.size());
      at::Tensor from_zeros;
      return (*stack.blocks[i].recurrence)(in, packing, state ? state->cells[i] : from_zeros);
    };
    const auto self_layer = [&](size_t i, const at::Tensor& in) {
      return stack.blocks[i].recurrence ? recurrence(i, in) : self_attention(i, in);
    };
    const auto cross_attention = [&](size_t i, const at::Tensor& in) {
      const Attention& attention = *stack.blocks[i].cross;
      if (!state) {
        return attention(in, packing, {}, attention.Project(memory, memory_packing, {}),
                         memory_bias);
      }
      if (state->cross.size() == i) {
        state->cross.push_back(attention.Project(memory, memory_packing, {}));
      }
      return attention(in, packing, {}, state->cross[i], memory_bias);
    };
    const auto feed_forward = [&](size_t i, const at::Tensor& in) {
      const Block& block = stack.blocks[i];
      const char* const kind = block.mixture ? "moe." : "ffn.";
      report(in, kind, i, ".input");
      if (block.mixture && sink) report(block.mixture->Scores(in), kind, i, ".router_logits");
      const at::Tensor out = block.FeedForwardOf(ffns).Forward(in);
      report(out, kind, i, ".output");
      return out;
    };
    // What a sub-layer adds to the residual stream.
    const auto added = [&](const Norm& post_norm, const at::Tensor& out) {
      const at::Tensor term = post_norm.defined() ? post_norm(out) : out;
      return config.residual_scale == 1.0 ? term : term * config.residual_scale;
    };
    // One sub-layer with its norms and residual sum. Before a norm the sum waits for that norm,
    // which adds `waiting` on its way.
    const bool pre_norm = config.norm_place == NormPlace::kPre;
    at::Tensor waiting;
    const auto settle = [&] { x = Norm().OfSum(x, waiting); };
    const auto residual = [&](const Norm& norm, const Norm& post_norm, const auto& sub_layer,
                              size_t i) {
      if (pre_norm) {
        const at::Tensor in = norm.OfSum(x, waiting);
        waiting = added(post_norm, sub_layer(i, in));
      } else {
        waiting = added(post_norm, sub_layer(i, x));
        x = norm.OfSum(x, waiting);
      }
    };
    for (size_t i = 0; i < stack.blocks.size(); ++i) {
      PollForInterrupt(x);
      if (sink) settle();
      report(x, "hidden_states.", i);
      const Block& block = stack.blocks[i];
      if (config.norm_place == NormPlace::kParallel) {
        const at::Tensor in = block.attention_norm(x);
        const at::Tensor ffn_in = block.ffn_norm.weight.defined() ? block.ffn_norm(x) : in;
        x = x + self_layer(i, in) + feed_forward(i, ffn_in.contiguous());
        continue;
      }
      residual(block.attention_norm, block.attention_post_norm, self_layer, i);
      if (block.cross) residual(block.cross_norm, {}, cross_attention, i);
      residual(block.ffn_norm, block.ffn_post_norm, feed_forward, i);
    }
    x = stack.final_norm.OfSum(x, waiting);
    if (stack.project_out.defined()) x = stack.project_out(x);
    report(x, "hidden_states.", stack.blocks.size());
    if (state) state->length += packing.tokens();
    return x;
  }

  // If the output projection is a kernel, all linear maps are, because it is exchanged last.
  bool StepsTokens() const { return head.output.kernel && !at::GradMode::is_enabled(); }

  // What the head reads, on the device: [rows, width] of the last stack, and the rows' packing.
  std::pair<at::Tensor, Packing> RunStacks(const ForwardInputs& given,
                                           const StateSink& given_sink) {
    CheckFirstInputs(config, given);
    const bool two_stacks = config.architecture == Architecture::kEncoderDecoder;
    if (two_stacks) CheckDecoderInputs(config, given);
    StateSink sink;
    if (given_sink) {
      sink = [&](const std::string& name, const at::Tensor& states) {
        given_sink(name, states.to(given.input_ids.device()));
      };
    }
    const ForwardInputs inputs = OnDevice(given, device);
    const at::Tensor& ids = given.input_ids;
    const Packing packing(ids.size(0), ids.size(1), inputs.attention_mask);
    const Stack& first = config.architecture == Architecture::kDecoder ? decoder : encoder;
    const at::Tensor x = Run(first, ids, inputs.token_type_ids, given.attention_mask, packing, {},
                             {}, nullptr, sink);
    if (!two_stacks) return {x, packing};
    if (sink) sink("encoder.last_hidden_state", packing.Unpack(x));
    const at::Tensor& decoder_ids = given.decoder_input_ids;
    const Packing decoder_packing(decoder_ids.size(0), decoder_ids.size(1),
                                  inputs.decoder_attention_mask);
    return {Run(decoder, decoder_ids, {}, given.decoder_attention_mask, decoder_packing, x, packing,
                nullptr, sink),
            decoder_packing};
  }
};

Transformer::Transformer(ModelConfig config, const TensorMap& parameters)
    : impl_(std::make_unique<Impl>()) {
  const ModelNames names = GetFamily(config.family).names(config);
  const Builder build(config, parameters);
  Impl& m = *impl_;
  m.encoder = build.MakeStack(names.encoder, config.encoder, 0);
  const size_t encoder_ffns = m.encoder.blocks.empty() ? 0 : m.encoder.blocks.back().ffn_idx + 1;
  m.decoder = build.MakeStack(names.decoder, config.decoder, encoder_ffns);
  m.decoder.causal = true;
  if (config.architecture == Architecture::kEncoderDecoder) {
    m.encoder.prefix = "encoder.";
    m.decoder.prefix = "decoder.";
  }
  const Stack& last = config.decoder.num_layers > 0 ? m.decoder : m.encoder;
  m.head = MakeOutputHead(config, names, build, last.token_embedding);
  m.specs = FfnSpecs(config);
  for (const FfnSpec& spec : m.specs) {
    m.ffns.push_back(parameters.contains(spec.w_in)
                         ? std::make_unique<DenseFeedForward>(build.MakeFfn(spec))
                         : nullptr);
  }
  for (Block& block : m.decoder.blocks) {
    if (!block.router.defined()) continue;
    block.mixture = std::make_shared<Mixture>(config.mixture, block.router, block.shared_gate,
                                              m.ffns, block.ffn_idx);
  }
  m.config = std::move(config);
  const auto with_values = std::ranges::find_if(
      parameters, [](const auto& parameter) { return !parameter.second.is_meta(); });
  m.device = (with_values == parameters.end() ? parameters.begin() : with_values)->second.device();
}

Transformer::~Transformer() = default;
Transformer::Transformer(Transformer&&) noexcept = default;
Transformer& Transformer::operator=(Transformer&&) noexcept = default;

ForwardOutputs Transformer::Forward(const ForwardInputs& given, const StateSink& sink) {
  Impl& m = *impl_;
  const auto [x, packing] = m.RunStacks(given, sink);
  ForwardOutputs outputs =
      m.head.Outputs(m.config, x, packing, OnDevice(given.attention_mask, m.device));
  for (at::Tensor* tensor : {&outputs.logits, &outputs.start_logits, &outputs.end_logits,
                             &outputs.last_hidden_state, &outputs.pooler_output}) {
    *tensor = OnDevice(*tensor, given.input_ids.device());
  }
  return outputs;
}

at::Tensor Transformer::ForwardHidden(const ForwardInputs& inputs, const StateSink& sink) {
  const auto [x, packing] = impl_->RunStacks(inputs, sink);
  return packing.Unpack(x).to(inputs.input_ids.device());
}

at::Tensor Transformer::Logits(const at::Tensor& hidden) const {
  MOEFY_CHECK(impl_->head.output.defined());
  return impl_->head.Logits(impl_->config, hidden.to(impl_->device)).to(hidden.device());
}

void Transformer::LogitsInBlocks(const at::Tensor& hidden, const LogitsSink& use) const {
  constexpr int64_t kMaxLogits = int64_t{1} << 24;  // 64 MB
  const int64_t rows = hidden.size(0);
  const int64_t block =
      std::max<int64_t>(1, kMaxLogits / std::max<int64_t>(1, impl_->config.vocab_size));
  for (int64_t first = 0; first < rows; first += block) {
    use(first, Logits(hidden.narrow(0, first, std::min(block, rows - first))));
  }
}

std::shared_ptr<DecodingState> Transformer::StartDecoding(const ForwardInputs& given) {
  Impl& m = *impl_;
  MOEFY_CHECK(m.config.head == Head::kLanguageModel);
  auto state = std::make_shared<DecodingState>();
  if (m.config.architecture != Architecture::kEncoderDecoder) return state;
  CheckFirstInputs(m.config, given);
  const ForwardInputs inputs = OnDevice(given, m.device);
  const at::Tensor& ids = given.input_ids;
  state->memory_packing = Packing(ids.size(0), ids.size(1), inputs.attention_mask);
  state->memory = m.Run(m.encoder, ids, inputs.token_type_ids, given.attention_mask,
                        state->memory_packing, {}, {}, nullptr, nullptr);
  return state;
}

at::Tensor Transformer::Decode(DecodingState& state, const at::Tensor& ids,
                               const at::Tensor& mask) {
  Impl& m = *impl_;
  CheckNextInputs(m.config, state, ids, mask);
  if (m.StepsTokens() && state.length > 0 && ids.size(1) == 1) {
    TokenStep step(m.config, m.decoder, m.head.output, m.head.logits_bias, m.ffns, state);
    const at::Tensor rows = ids.contiguous();
    const at::Tensor real = mask.defined() ? mask.to(at::kLong).contiguous() : mask;  // any dtype
    step.Run(rows.data_ptr<int64_t>(), real.defined() ? real.data_ptr<int64_t>() : nullptr,
             ids.size(0));
    return state.buffers.logits;
  }
  const Packing packing(ids.size(0), ids.size(1), OnDevice(mask, m.device));
  const at::Tensor x =
      m.Run(m.decoder, ids, {}, mask, packing, state.memory, state.memory_packing, &state, nullptr);
  state.memory = at::Tensor();
  return m.head.Logits(m.config, packing.Unpack(x).select(1, ids.size(1) - 1)).to(ids.device());
}

const ModelConfig& Transformer::config() const { return impl_->config; }
size_t Transformer::num_ffns() const { return impl_->ffns.size(); }
const FfnSpec& Transformer::ffn_spec(size_t ffn_idx) const { return impl_->specs.at(ffn_idx); }
FeedForward& Transformer::feed_forward(size_t ffn_idx) { return *impl_->ffns.at(ffn_idx); }

namespace {

// Lets go of a mapped tensor's memory after it has been copied.
void ReleasePages(const at::Tensor& tensor) {
  if (!tensor.is_contiguous() || tensor.is_meta()) return;
  io::ReleaseMappedPages({static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()});
}

}  // namespace

void Transformer::ExchangeLinears(const LinearMaker& make) {
  const auto exchange = [&](Linear& linear, bool is_output = false) {
    if (!linear.weight.defined()) return;
    linear.kernel = make(linear.weight, linear.bias, is_output);
    ReleasePages(linear.weight);
    linear.weight = linear.bias = at::Tensor();
  };
  const auto stacked = [](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    if (!q.defined() || !k.defined() || !v.defined()) return at::Tensor();
    const at::Tensor all = at::cat({q, k, v});
    for (const at::Tensor& part : {q, k, v}) ReleasePages(part);
    return all;
  };
  for (Stack* stack : {&impl_->encoder, &impl_->decoder}) {
    exchange(stack->project_in);
    exchange(stack->project_out);
    for (Block& block : stack->blocks) {
      Attention& self = block.attention;
      Linear &q = self.query, &k = self.key, &v = self.value;
      const bool same_biases =
          q.bias.defined() == k.bias.defined() && k.bias.defined() == v.bias.defined();
      if (q.weight.defined() && same_biases) {
        self.head_dim = q.weight.size(0) / self.num_heads;
        self.fused.weight = stacked(q.weight, k.weight, v.weight);
        self.fused.bias = stacked(q.bias, k.bias, v.bias);
        q = k = v = Linear();
        exchange(self.fused);
      }
      for (Linear* linear : {&q, &k, &v, &self.output}) exchange(*linear);
      if (block.recurrence) {
        exchange(block.recurrence->input);
        exchange(block.recurrence->forget);
      }
      if (!block.cross) continue;
      Attention& cross = *block.cross;
      for (Linear* linear : {&cross.query, &cross.key, &cross.value, &cross.output}) {
        exchange(*linear);
      }
    }
  }
  exchange(impl_->head.output, /*is_output=*/true);
}

void Transformer::ExchangeRowKernels(const RowKernels& kernels) {
  for (Stack* stack : {&impl_->encoder, &impl_->decoder}) {
    stack->embedding_norm.kernel = stack->final_norm.kernel = kernels.norm;
    for (Block& block : stack->blocks) {
      for (Norm* norm : {&block.attention_norm, &block.attention_post_norm, &block.cross_norm,
                         &block.ffn_norm, &block.ffn_post_norm}) {
        norm->kernel = kernels.norm;
      }
      block.attention.kernel = kernels.attend;
      if (block.cross) block.cross->kernel = kernels.attend;
    }
  }
}

std::unique_ptr<FeedForward> Transformer::ExchangeFeedForward(size_t ffn_idx,
                                                              std::unique_ptr<FeedForward> ffn) {
  std::swap(impl_->ffns.at(ffn_idx), ffn);
  return ffn;
}

Transformer LoadTransformer(const io::Checkpoint& checkpoint, std::vector<std::string>* warnings,
                            Parts parts, at::Device device) {
  AvoidSlowBlasCore();
  const ModelConfig config = ReadModelConfig(checkpoint, warnings);
  TensorMap parameters = ReadParameters(checkpoint, config, warnings, parts);
  // What is exchanged runs on the CPU, and may be without values.
  if (parts == Parts::kAll) parameters = OnDevice(std::move(parameters), device);
  return Transformer(config, parameters);
}

}  // namespace moefy::model
