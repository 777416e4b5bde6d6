#include "model/expected_tensors.h"

#include <set>

#include "model/family.h"
#include "model/stored_names.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// A length, and the words of config.json that say so.
struct Extent {
  int64_t value = 0;
  std::string text;
};

Extent FromKey(const SizeKey& key, int64_t value) {
  return {value, key.key.empty() ? "" : StrCat(key.key, " ", value)};
}

std::string ExpertPrefix(const std::string& name_template, int64_t layer_idx, int64_t expert_idx) {
  return ReplaceAll(LayerName(name_template, layer_idx), "{e}", std::to_string(expert_idx));
}

// Collects the tensors of a model. Skips parts without a name and names that it has already.
class Collector {
 public:
  Collector(const ModelConfig& config, const Family& family)
      : config_(config), keys_(family.keys), hidden_(FromKey(keys_.hidden, config.hidden)) {}

  void Add(const std::string& name, const std::vector<Extent>& extents, bool required = true) {
    ExpectedTensor tensor;
    tensor.name = StoredName(config_, name);
    if (!seen_.insert(tensor.name).second) return;
    for (const Extent& extent : extents) {
      tensor.shape.push_back(extent.value);
      tensor.extents.push_back(extent.text);
    }
    tensor.layers = layers_;
    tensor.required = required;
    tensor.exchanged = exchanged_ && extents.size() == 2;
    tensors_.push_back(std::move(tensor));
  }
  void Weight(const std::string& name, const std::vector<Extent>& extents, bool required = true) {
    if (!name.empty()) Add(name + ".weight", extents, required);
  }
  void Linear(const std::string& name, const Extent& out, const Extent& in, bool bias,
              bool transposed = false) {
    if (name.empty()) return;
    Weight(name, transposed ? std::vector{in, out} : std::vector{out, in});
    if (bias) Add(name + ".bias", {out});
  }
  // A linear map that kernels may take the place of.
  void Exchanged(const std::string& name, const Extent& out, const Extent& in, bool bias,
                 bool transposed = false) {
    exchanged_ = true;
    Linear(name, out, in, bias, transposed);
    exchanged_ = false;
  }
  void Norm(const std::string& name) { Norm(name, hidden_); }
  void Norm(const std::string& name, const Extent& width) {
    if (name.empty()) return;
    const NormSuffixes suffixes = SuffixesOfNorms(config_);
    Add(name + suffixes.weight, {width});
    if (config_.norm == NormKind::kLayerNorm && config_.norm_bias) {
      Add(name + suffixes.bias, {width});
    }
  }
  void Attention(const AttentionNames& names, int64_t layer_idx, const StackConfig& stack,
                 const StackKeys& keys) {
    const auto width = [&](int64_t heads, const std::string& text) {
      return Extent{heads * stack.head_dim, StrCat(text, " of ", stack.head_dim)};
    };
    const std::string heads = StrCat(keys.heads.key, " ", stack.num_heads);
    const std::string kv_heads =
        keys.kv_heads.key.empty() ? heads : StrCat(keys.kv_heads.key, " ", stack.num_kv_heads);
    const Extent queries = width(stack.num_heads, heads);
    const Extent kv = width(stack.num_kv_heads, kv_heads);
    const auto linear = [&](const std::string& name, const Extent& out, const Extent& in,
                            bool bias) {
      Exchanged(LayerName(name, layer_idx), out, in, bias, config_.transposed);
    };
    linear(names.qkv,
           width(stack.num_heads + 2 * stack.num_kv_heads,
                 StrCat(stack.num_heads, " query and 2 x ", stack.num_kv_heads, " key heads")),
           hidden_, config_.qkv_bias);
    linear(names.query, queries, hidden_, config_.qkv_bias);
    linear(names.key, kv, hidden_, config_.qkv_bias);
    linear(names.value, kv, hidden_, config_.qkv_bias);
    linear(names.output, hidden_, queries, config_.attention_output_bias);
    const Extent head{stack.head_dim, ""};
    const bool by_head = config_.qk_norm == QkNorm::kHead;
    Norm(LayerName(names.query_norm, layer_idx), by_head ? head : queries);
    Norm(LayerName(names.key_norm, layer_idx), by_head ? head : kv);
  }
  void Stack(const StackNames& names, const StackConfig& stack, const StackKeys& keys,
             int64_t vocab_size) {
    if (stack.num_layers == 0) return;
    Weight(names.token_embedding,
           {FromKey(keys_.vocab, vocab_size), {config_.embedding_width, ""}});
    const Extent embedding{config_.embedding_width, ""};
    const Extent& summed = config_.narrow_embeddings ? embedding : hidden_;
    Exchanged(names.project_in, hidden_, embedding, config_.narrow_embeddings);
    Exchanged(names.project_out, embedding, hidden_, false);
    if (config_.position == PositionKind::kLearned ||
        config_.position == PositionKind::kSinusoidal) {
      Weight(names.position_embedding, {FromKey(keys_.positions, config_.max_positions), summed},
             config_.position == PositionKind::kLearned);
    }
    if (config_.num_token_types > 0) {
      Weight(names.token_type_embedding, {{config_.num_token_types, "token types"}, summed});
    }
    Norm(names.embedding_norm, summed);
    for (int64_t layer_idx = 0; layer_idx < stack.num_layers; ++layer_idx) {
      layers_ = FromKey(keys.layers, stack.num_layers).text;
      const int64_t stored_idx = StoredLayer(config_, stack.num_layers, layer_idx);
      const auto at_layer = [&](const std::string& name) { return LayerName(name, stored_idx); };
      if (layer_idx > 0 || config_.first_attention_norm) Norm(at_layer(names.attention_norm));
      Attention(names.attention, stored_idx, stack, keys);
      Exchanged(at_layer(names.recurrence.input), hidden_, hidden_, false, config_.transposed);
      Exchanged(at_layer(names.recurrence.forget), hidden_, hidden_, true, config_.transposed);
      Norm(at_layer(names.attention_post_norm));
      Norm(at_layer(names.cross_norm));
      Attention(names.cross, stored_idx, stack, keys);
      if (names.relative_bias.find("{}") != std::string::npos) {
        RelativeBias(at_layer(names.relative_bias), stack, keys);
      }
      Norm(at_layer(names.ffn_norm));
      Norm(at_layer(names.ffn_post_norm));
      if (!names.mixture.router.empty() && config_.has_mixture(layer_idx)) {
        Mixture(names.mixture, layer_idx);
        continue;
      }
      const Extent neurons = FromKey(keys.neurons, stack.num_neurons);
      const auto linear = [&](const std::string& name, const Extent& out, const Extent& in) {
        Exchanged(at_layer(name), out, in, config_.ffn_bias, config_.transposed);
      };
      if (!names.w_gate.empty() && names.w_gate == names.w_in) {  // the pair is fused
        linear(names.w_in, {2 * neurons.value, StrCat("2 x ", neurons.text)}, hidden_);
      } else {
        linear(names.w_gate, neurons, hidden_);
        linear(names.w_in, neurons, hidden_);
      }
      linear(names.w_out, hidden_, neurons);
    }
    layers_.clear();
    if (names.relative_bias.find("{}") == std::string::npos)
      RelativeBias(names.relative_bias, stack, keys);
    if (config_.position == PositionKind::kDisentangled) {
      Weight(names.relative_embedding,
             {{2 * config_.relative_buckets, StrCat("2 * ", config_.relative_buckets)}, hidden_});
      if (config_.relative_norm) Norm(names.relative_norm);
    }
    Norm(names.final_norm);
  }
  void Mixture(const MixtureNames& names, int64_t layer_idx) {
    const MixtureConfig& mixture = config_.mixture;
    Weight(LayerName(names.router, layer_idx),
           {{mixture.num_experts, StrCat(mixture.num_experts, " experts")}, hidden_});
    for (int64_t e = 0; e < mixture.num_experts; ++e) {
      Expert(names, ExpertPrefix(names.expert, layer_idx, e), mixture.num_neurons);
    }
    if (names.shared.empty()) return;
    Expert(names, LayerName(names.shared, layer_idx), mixture.shared_neurons);
    Weight(LayerName(names.shared_gate, layer_idx), {{1, ""}, hidden_});
  }
  void Expert(const MixtureNames& names, const std::string& prefix, int64_t num_neurons) {
    const Extent neurons{num_neurons, StrCat(num_neurons, " neurons of an expert")};
    Exchanged(prefix + names.w_gate, neurons, hidden_, false);
    Exchanged(prefix + names.w_in, neurons, hidden_, false);
    Exchanged(prefix + names.w_out, hidden_, neurons, false);
  }
  void RelativeBias(const std::string& name, const StackConfig& stack, const StackKeys& keys) {
    Weight(name, {{config_.relative_buckets, "relative_attention_num_buckets"},
                  FromKey(keys.heads, stack.num_heads)});
  }
  void Head(const ModelNames& names) {
    const Extent vocab = FromKey(keys_.vocab, config_.vocab_size);
    const Extent labels{config_.num_labels, StrCat("num_labels ", config_.num_labels)};
    // A masked language model's output projection is as wide as its embeddings.
    const Extent width =
        config_.head == kMaskedLanguageModel ? Extent{config_.embedding_width, ""} : hidden_;
    Linear(names.head_dense, width, hidden_, config_.head_dense_bias);
    Norm(names.head_norm, width);
    switch (config_.head) {
      case kLanguageModel:
        if (!config_.tied_embeddings) {
          Exchanged(names.language_model_head, vocab, {config_.embedding_width, ""},
                    config_.head_bias);
        }
        if (names.logits_bias.empty()) break;
        if (config_.tied_embeddings && config_.head_bias) {
          Add(names.logits_bias, {vocab});
        } else {
          Add(names.logits_bias, {{1, ""}, vocab}, false);
        }
        break;
      case kMaskedLanguageModel:
        if (!config_.tied_embeddings) Exchanged(names.language_model_head, vocab, width, false);
        if (!names.logits_bias.empty()) Add(names.logits_bias, {vocab});
        break;
      case kSequenceClassification:
        Linear(names.pooler, hidden_, hidden_, true);
        // A decoder's classifier has no bias, and reads states as wide as its embeddings.
        if (config_.architecture == Architecture::kDecoder) {
          Linear(names.classifier, labels, {config_.embedding_width, ""}, false);
        } else {
          Linear(names.classifier, labels, hidden_, true);
        }
        break;
      case kTokenClassification:
        Linear(names.classifier, labels, hidden_, true);
        break;
      case kQuestionAnswering:
        Linear(names.span_head, {2, "a start and an end"}, hidden_, true);
        break;
      case kNone:  // a pooler may have been left out
        if (names.pooler.empty()) break;
        Weight(names.pooler, {hidden_, hidden_}, false);
        Add(names.pooler + ".bias", {hidden_}, false);
        break;
    }
  }

  std::vector<ExpectedTensor> Take() { return std::move(tensors_); }

 private:
  using enum moefy::model::Head;

  const ModelConfig& config_;
  const ConfigKeys& keys_;
  const Extent hidden_;
  std::string layers_;
  bool exchanged_ = false;
  std::set<std::string> seen_;
  std::vector<ExpectedTensor> tensors_;
};

// The experts of one layer, the shared one behind the others.
void AppendMixture(const ModelConfig& config, const MixtureNames& names, int64_t layer_idx,
                   const std::string& layer_name, std::vector<FfnSpec>& out) {
  const MixtureConfig& mixture = config.mixture;
  const auto append = [&](const std::string& name, const std::string& prefix, int64_t neurons) {
    const auto weight = [&](const std::string& part) {
      return StoredName(config, prefix + part + ".weight");
    };
    FfnSpec spec;
    spec.name = layer_name + name;
    spec.w_in = weight(names.w_in);
    spec.w_gate = weight(names.w_gate);
    spec.w_out = weight(names.w_out);
    spec.hidden = config.hidden;
    spec.num_neurons = neurons;
    spec.activation = config.activation;
    spec.of_mixture = true;
    out.push_back(std::move(spec));
  };
  for (int64_t e = 0; e < mixture.num_experts; ++e) {
    append(StrCat(".expert.", e), ExpertPrefix(names.expert, layer_idx, e), mixture.num_neurons);
  }
  if (!names.shared.empty()) {
    append(".shared", LayerName(names.shared, layer_idx), mixture.shared_neurons);
  }
}

void AppendFfns(const ModelConfig& config, const StackNames& names, const StackConfig& stack,
                const std::string& prefix, std::vector<FfnSpec>& out) {
  for (int64_t layer_idx = 0; layer_idx < stack.num_layers; ++layer_idx) {
    const int64_t stored_idx = StoredLayer(config, stack.num_layers, layer_idx);
    if (layer_idx > 0 && stored_idx == StoredLayer(config, stack.num_layers, layer_idx - 1)) {
      ++out.back().num_layers;
      continue;
    }
    if (!names.mixture.router.empty() && config.has_mixture(layer_idx)) {
      AppendMixture(config, names.mixture, layer_idx, StrCat(prefix, "ffn.", layer_idx), out);
      continue;
    }
    const auto weight = [&](const std::string& name) {
      return name.empty() ? "" : StoredName(config, LayerName(name, stored_idx) + ".weight");
    };
    const auto bias = [&](const std::string& name) {
      return name.empty() || !config.ffn_bias
                 ? ""
                 : StoredName(config, LayerName(name, stored_idx) + ".bias");
    };
    FfnSpec spec;
    spec.name = StrCat(prefix, "ffn.", layer_idx);
    spec.w_in = weight(names.w_in);
    spec.b_in = bias(names.w_in);
    spec.w_gate = weight(names.w_gate);
    spec.b_gate = bias(names.w_gate);
    spec.w_out = weight(names.w_out);
    spec.b_out = bias(names.w_out);
    spec.transposed = config.transposed;
    spec.hidden = config.hidden;
    spec.num_neurons = stack.num_neurons;
    spec.activation = config.activation;
    out.push_back(std::move(spec));
  }
}

}  // namespace

std::vector<std::string> LayerNames(const FfnSpec& spec) {
  const size_t end = spec.name.rfind('.') + 1;
  std::vector<std::string> names = {spec.name};
  for (int64_t i = 1; i < spec.num_layers; ++i) {
    names.push_back(StrCat(spec.name.substr(0, end), std::stoll(spec.name.substr(end)) + i));
  }
  return names;
}

std::string LayerName(const std::string& name_template, int64_t layer_idx) {
  return ReplaceAll(name_template, "{}", std::to_string(layer_idx));
}

int64_t StoredLayer(const ModelConfig& config, int64_t num_layers, int64_t layer_idx) {
  const int64_t groups = config.num_layer_groups;
  return groups > 0 ? layer_idx * groups / num_layers : layer_idx;
}

std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config) {
  const Family& family = GetFamily(config.family);
  const ModelNames names = family.names(config);
  Collector tensors(config, family);
  tensors.Stack(names.encoder, config.encoder, family.keys.encoder, config.input_vocab_size);
  tensors.Stack(names.decoder, config.decoder, family.keys.decoder, config.vocab_size);
  tensors.Head(names);
  return tensors.Take();
}

std::vector<FfnSpec> FfnSpecs(const ModelConfig& config) {
  const ModelNames names = GetFamily(config.family).names(config);
  const bool two_stacks = config.architecture == Architecture::kEncoderDecoder;
  std::vector<FfnSpec> specs;
  AppendFfns(config, names.encoder, config.encoder, two_stacks ? "encoder." : "", specs);
  AppendFfns(config, names.decoder, config.decoder, two_stacks ? "decoder." : "", specs);
  return specs;
}

}  // namespace moefy::model
