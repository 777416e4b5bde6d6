// Source of names and of what each architecture computes: llama.cpp's llama-arch.cpp and
// models/{llama,glm4-moe}.cpp, llama-graph.cpp.
#include "export/write_gguf.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "export/expert_matrices.h"
#include "export/gguf_quantize.h"
#include "export/gguf_tokenizer.h"
#include "export/model_tensors.h"
#include "moefy/base/error.h"

namespace moefy::exports {
namespace {

constexpr const char* kLayers = "model.layers.";
constexpr const char* kLlama = "llama";

// Names behind "model.layers.N." and behind "blk.N.".
struct GgufName {
  const char* part;
  const char* name;
};
constexpr const char* kFfnNorm = "post_attention_layernorm";
constexpr std::array<GgufName, 8> kLayerNames = {{
    {"input_layernorm", "attn_norm"},
    {kFfnNorm, "ffn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
}};
constexpr std::array<GgufName, 3> kOtherNames = {{
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
}};

bool IsLlama(const ExportPlan& plan) { return plan.format.model_type == kLlama; }

std::string NameInGguf(const std::string& name, const ExportPlan& plan) {
  for (const GgufName& other : kOtherNames) {
    if (name == other.part) return other.name;
  }
  MOEFY_CHECK(name.starts_with(kLayers));
  const std::string rest = name.substr(std::string(kLayers).size());
  const size_t dot = rest.find('.');
  const size_t end = rest.rfind('.');
  const std::string part = rest.substr(dot + 1, end - dot - 1);
  if (part == kFfnNorm && !IsLlama(plan)) {
    return StrCat("blk.", rest.substr(0, dot), ".post_attention_norm.weight");
  }
  for (const GgufName& layer : kLayerNames) {
    if (part == layer.part)
      return StrCat("blk.", rest.substr(0, dot), ".", layer.name, rest.substr(end));
  }
  MOEFY_CHECK(false && "a tensor that GGUF has no name for");
  return "";
}

// llama.cpp rotates neighbours where a checkpoint of LLaMA's layout rotates the halves of a head.
// rows [heads * head_dim, ...]
at::Tensor Interleaved(const at::Tensor& rows, int64_t heads) {
  const at::Tensor halves = rows.reshape({heads, 2, rows.size(0) / heads / 2, -1});
  return halves.transpose(1, 2).reshape(rows.sizes());
}

GgufType TypeFor(const std::vector<int64_t>& shape, GgufType wanted, bool is_table) {
  if (shape.size() < 2 || wanted == GgufType::kF32) return GgufType::kF32;
  if (wanted == GgufType::kF16 || shape.back() % 32 != 0) return GgufType::kF16;
  return is_table ? GgufType::kQ8_0 : wanted;
}

// What llama.cpp divides the rotary frequencies by, [dims / 2]. Source: Llama 3.1.
at::Tensor RotaryFactors(const model::RotaryConfig& rotary) {
  at::Tensor out = at::ones({rotary.dims / 2});
  for (int64_t i = 0; i < rotary.dims / 2; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(rotary.dims);
    const double turns =
        rotary.original_positions / (2 * std::numbers::pi * std::pow(rotary.base, exponent));
    const double share =
        std::clamp((turns - rotary.low_frequency_factor) /
                       (rotary.high_frequency_factor - rotary.low_frequency_factor),
                   0.0, 1.0);
    out[i] = 1 / ((1 - share) / rotary.factor + share);
  }
  return out;
}

int64_t ContextLength(const split::MoeCheckpoint& moe) {
  constexpr int64_t kDefault = 2048, kMost = 1 << 30;  // LLaMA's default
  const Json json = ParseJsonFile(moe.weights().ConfigPath(), moe.weights().ConfigText());
  return JsonObject(json, moe.weights().ConfigPath().string())
      .GetInt("max_position_embeddings", 1, kMost, kDefault);
}

GgufMetadata Metadata(const split::MoeCheckpoint& moe, const ExportPlan& plan, GgufType type) {
  const model::ModelConfig& config = moe.config();
  const model::StackConfig& stack = config.decoder;
  const ExpertSizes& sizes = plan.sizes;
  const std::string& architecture = plan.format.model_type;
  GgufMetadata out;
  const auto general = [&](const std::string& key, GgufValue value) {
    out.emplace_back("general." + key, std::move(value));
  };
  const auto count = [&](const std::string& key, int64_t value) {
    out.emplace_back(architecture + "." + key, static_cast<uint32_t>(value));
  };
  const auto number = [&](const std::string& key, double value) {
    out.emplace_back(architecture + "." + key, static_cast<float>(value));
  };
  // llama.cpp's numbers of files that are mostly of a type.
  constexpr uint32_t kAllF32 = 0, kMostlyF16 = 1, kMostlyQ4 = 2, kMostlyQ8 = 7;
  general("architecture", architecture);
  general("file_type", type == GgufType::kF32    ? kAllF32
                       : type == GgufType::kF16  ? kMostlyF16
                       : type == GgufType::kQ8_0 ? kMostlyQ8
                                                 : kMostlyQ4);
  general("quantization_version", uint32_t{2});
  count("vocab_size", config.vocab_size);
  count("context_length", ContextLength(moe));
  count("embedding_length", config.hidden);
  count("block_count", stack.num_layers);
  count("feed_forward_length", sizes.neurons);
  count("attention.head_count", stack.num_heads);
  count("attention.head_count_kv", stack.num_kv_heads);
  count("attention.key_length", stack.head_dim);
  count("attention.value_length", stack.head_dim);
  number("attention.layer_norm_rms_epsilon", config.norm_epsilon);
  count("rope.dimension_count", config.rotary.dims);
  number("rope.freq_base", config.rotary.base);
  if (config.rotary.factor != 1 && !config.rotary.llama3) {
    out.emplace_back(architecture + ".rope.scaling.type", std::string("linear"));
    number("rope.scaling.factor", config.rotary.factor);
  }
  count("expert_count", sizes.experts);
  count("expert_used_count", sizes.chosen);
  count("expert_feed_forward_length", sizes.neurons);
  if (!IsLlama(plan)) {
    constexpr int64_t kSoftmaxOfChosen = 3;  // LLAMA_EXPERT_GATING_FUNC_TYPE_SOFTMAX_WEIGHT
    count("leading_dense_block_count", 0);
    count("expert_shared_count", sizes.shared_neurons / sizes.neurons);
    count("expert_gating_func", kSoftmaxOfChosen);
    number("expert_weights_scale", 1);
    out.emplace_back(architecture + ".expert_weights_norm", false);
  }
  for (auto& entry : GgufTokenizer(moe.directory(), config)) out.push_back(std::move(entry));
  return out;
}

// The tensors of a layer's experts and router. Their order is that of WriteGgufLayer.
std::vector<GgufTensor> GgufLayerTensors(const ExportPlan& plan, int64_t layer_idx, int64_t hidden,
                                         GgufType type) {
  const ExpertSizes& sizes = plan.sizes;
  std::vector<GgufTensor> out;
  const auto add = [&](const char* name, const std::vector<int64_t>& shape) {
    out.push_back({StrCat("blk.", layer_idx, ".", name, ".weight"), shape,
                   TypeFor(shape, type, /*is_table=*/false)});
  };
  add("ffn_gate_inp", {sizes.experts, hidden});
  out.back().type = GgufType::kF32;
  if (plan.format.router_bias) {
    out.push_back({StrCat("blk.", layer_idx, ".exp_probs_b.bias"), {sizes.experts}});
  }
  add("ffn_gate_exps", {sizes.experts, sizes.neurons, hidden});
  add("ffn_up_exps", {sizes.experts, sizes.neurons, hidden});
  add("ffn_down_exps", {sizes.experts, hidden, sizes.neurons});
  if (!plan.HasSharedExpert()) return out;
  add("ffn_gate_shexp", {sizes.shared_neurons, hidden});
  add("ffn_up_shexp", {sizes.shared_neurons, hidden});
  add("ffn_down_shexp", {hidden, sizes.shared_neurons});
  return out;
}

// llama.cpp makes a graph of every expert's sum, two nodes each, and ends itself where the graph
// has no room: it has 8 nodes for each tensor of the file, and 1024 at least. The nodes of a layer
// without its experts were found by trying how many experts run (Mixtral's layer: 44).
void CheckGraph(const ExportPlan& plan, int64_t layers, int64_t num_tensors) {
  constexpr int64_t kMostExperts = 512;  // LLAMA_MAX_EXPERTS
  if (plan.sizes.experts > kMostExperts) {
    throw UsageError("llama.cpp has at most ", kMostExperts, " experts, and each FFN has ",
                     plan.sizes.experts, "; split with a larger --expert-size");
  }
  constexpr int64_t kPerTensor = 8, kLeast = 1024, kLayerNodes = 44, kLayerTensors = 10;
  const int64_t room = std::max(kLeast, kPerTensor * num_tensors) / layers;
  const int64_t others = kLayerNodes + num_tensors / layers - kLayerTensors;
  const int64_t most = (room - others) / 2;
  if (plan.sizes.chosen <= most) return;
  throw UsageError("llama.cpp's graph has room for ", most,
                   " experts for each token of this model, ", "and --ffn-ratio chooses ",
                   plan.sizes.chosen,
                   "; split with a larger --expert-size, or choose a lower ratio");
}

// Calls `write` for what GgufLayerTensors names.
template <typename Write>
void WriteGgufLayer(const ExportPlan& plan, const RouterRows& rows, const ExpertMatrices& experts,
                    Write&& write) {
  write(rows.w);
  if (plan.format.router_bias) write(rows.b);
  for (const auto* matrix : {&experts.w_gate, &experts.w_in, &experts.w_out}) write(*matrix);
  if (!plan.HasSharedExpert()) return;
  for (const auto* matrix : {&experts.shared_w_gate, &experts.shared_w_in, &experts.shared_w_out}) {
    write(*matrix);
  }
}

}  // namespace

Format GgufFormat(const model::ModelConfig& config) {
  Format format;
  format.name = kGguf;
  format.free_head_dim = true;
  format.biases = AttentionBiases::kQkv;
  if (config.rotary.llama3) {  // glm4moe has no factors for rotary frequencies
    format.model_type = kLlama;
    return format;
  }
  format.model_type = "glm4moe";
  format.gates = Gates::kChosen;
  format.shared = SharedExperts::kPlain;
  format.always_shared = true;
  format.norms = QueryKeyNorms::kOptional;
  format.router_bias = true;
  return format;
}

GgufType ParseGgufType(const std::string& name) {
  constexpr std::array<std::pair<const char*, GgufType>, 4> kTypes = {{{"f32", GgufType::kF32},
                                                                       {"f16", GgufType::kF16},
                                                                       {"q8_0", GgufType::kQ8_0},
                                                                       {"q4_0", GgufType::kQ4_0}}};
  for (const auto& [known, type] : kTypes) {
    if (name == known) return type;
  }
  throw UsageError("--weights is ", Quoted(name), "; expected f32, f16, q8_0 or q4_0");
}

void WriteGguf(const split::MoeCheckpoint& moe, const ExportPlan& plan,
               const std::vector<RouterRows>& routers, GgufType type,
               const std::filesystem::path& file, Progress& progress) {
  const at::NoGradGuard no_grad;
  const model::ModelConfig& config = moe.config();
  const std::vector<ExportedTensor> others = ModelTensors(moe, plan);
  std::vector<GgufTensor> tensors;
  for (const ExportedTensor& tensor : others) {
    const std::string name = NameInGguf(tensor.name, plan);
    tensors.push_back({name, tensor.shape, TypeFor(tensor.shape, type, !name.starts_with("blk."))});
  }
  if (config.rotary.llama3) {
    tensors.push_back({"rope_freqs.weight", {config.rotary.dims / 2}, GgufType::kF32});
  }
  for (size_t i = 0; i < routers.size(); ++i) {
    for (GgufTensor& tensor :
         GgufLayerTensors(plan, static_cast<int64_t>(i), config.hidden, type)) {
      tensors.push_back(std::move(tensor));
    }
  }
  CheckGraph(plan, config.decoder.num_layers, static_cast<int64_t>(tensors.size()));
  GgufWriter writer(file, Metadata(moe, plan, type), tensors);
  size_t next = 0;
  const auto write = [&](const at::Tensor& values) {
    writer.Write(GgufEncode(values, tensors[next].type));
    ++next;
  };
  for (const ExportedTensor& tensor : others) {
    const bool query = tensor.name.find(".q_proj.") != std::string::npos;
    const bool key = tensor.name.find(".k_proj.") != std::string::npos;
    const at::Tensor values = tensor.read();
    const int64_t heads = query ? config.decoder.num_heads : config.decoder.num_kv_heads;
    write((query || key) && IsLlama(plan) ? Interleaved(values, heads) : values);
  }
  if (config.rotary.llama3) write(RotaryFactors(config.rotary));
  for (size_t i = 0; i < routers.size(); ++i) {
    ThrowIfInterrupted();
    const RouterRows rows =
        Flat(WithoutShared(routers[i], plan.sizes.shared),
             ReadFfnNorm(moe, static_cast<int64_t>(i)), FlatSpread(plan.format.gates));
    WriteGgufLayer(plan, rows, ReadExpertMatrices(moe, i, plan), write);
    progress.Advance(1);
  }
  writer.Finish();
}

}  // namespace moefy::exports
