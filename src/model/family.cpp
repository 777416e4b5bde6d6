#include "moefy/model/family.h"

#include <algorithm>

#include "model/families.h"
#include "moefy/base/error.h"

namespace moefy::model {

const std::vector<Family>& Families() {
  static const std::vector<Family> families = {T5Family(), BertFamily()};
  return families;
}

const Family& GetFamily(const std::string& name) {
  std::vector<std::string> names;
  for (const Family& family : Families()) {
    if (family.name == name) return family;
    names.push_back(family.name);
  }
  throw UsageError("unknown family ", Quoted(name), DidYouMean(name, names),
                   "; supported: ", Join(names));
}

ModelConfig ParseModelConfig(const Json& json, const std::string& where) {
  const JsonObject config(json, where);
  const std::string model_type = config.GetString("model_type");
  std::vector<std::string> known;
  for (const Family& family : Families()) {
    for (const std::string& type : family.model_types) {
      if (type == model_type) {
        ModelConfig out = family.read_config(config);
        out.family = family.name;
        out.model_type = model_type;
        return out;
      }
      known.push_back(type);
    }
  }
  throw InputError(config.PathOf("model_type"), " is ", Quoted(model_type),
                   ", a family moefy does not know", DidYouMean(model_type, known),
                   "; supported: ", Join(known));
}

ModelConfig ReadModelConfig(const std::filesystem::path& config_file) {
  return ParseModelConfig(ReadJsonFile(config_file), config_file.string());
}

std::string LayerName(const std::string& name_template, int64_t layer_idx) {
  return ReplaceAll(name_template, "{}", std::to_string(layer_idx));
}

namespace {

// Collects the tensors of a model; parts a family does not have are skipped.
class Collector {
 public:
  explicit Collector(const ModelConfig& config) : config_(config) {}

  void Weight(const std::string& name, std::vector<int64_t> shape) {
    if (!name.empty()) tensors_.push_back({name + ".weight", std::move(shape)});
  }
  void Linear(const std::string& name, int64_t out, int64_t in, bool bias) {
    if (name.empty()) return;
    Weight(name, {out, in});
    if (bias) tensors_.push_back({name + ".bias", {out}});
  }
  void Norm(const std::string& name) {
    if (name.empty()) return;
    Weight(name, {config_.hidden});
    if (config_.norm == NormKind::kLayerNorm)
      tensors_.push_back({name + ".bias", {config_.hidden}});
  }
  void Attention(const AttentionNames& names, int64_t layer_idx) {
    const int64_t width = config_.num_heads * config_.head_dim;
    for (const std::string* name : {&names.query, &names.key, &names.value}) {
      Linear(LayerName(*name, layer_idx), width, config_.hidden, config_.biases);
    }
    Linear(LayerName(names.output, layer_idx), config_.hidden, width, config_.biases);
  }
  void Stack(const StackNames& names, int64_t num_layers) {
    for (int64_t layer_idx = 0; layer_idx < num_layers; ++layer_idx) {
      const auto at_layer = [&](const std::string& name) { return LayerName(name, layer_idx); };
      Norm(at_layer(names.attention_norm));
      Attention(names.attention, layer_idx);
      Norm(at_layer(names.cross_norm));
      Attention(names.cross, layer_idx);
      Norm(at_layer(names.ffn_norm));
      const int64_t neurons = config_.num_neurons;
      if (config_.gated) {
        Linear(at_layer(names.gated_gate), neurons, config_.hidden, config_.biases);
        Linear(at_layer(names.gated_in), neurons, config_.hidden, config_.biases);
      } else {
        Linear(at_layer(names.w_in), neurons, config_.hidden, config_.biases);
      }
      Linear(at_layer(names.w_out), config_.hidden, neurons, config_.biases);
    }
    if (num_layers > 0) {
      Weight(names.relative_bias, {config_.relative_buckets, config_.num_heads});
      Norm(names.final_norm);
    }
  }

  std::vector<ExpectedTensor> Take() { return std::move(tensors_); }

 private:
  const ModelConfig& config_;
  std::vector<ExpectedTensor> tensors_;
};

}  // namespace

std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config) {
  const ModelNames& names = GetFamily(config.family).names;
  Collector tensors(config);
  tensors.Weight(names.token_embedding, {config.vocab_size, config.hidden});
  if (config.position == PositionKind::kLearned) {
    tensors.Weight(names.position_embedding, {config.max_positions, config.hidden});
  }
  if (config.num_token_types > 0) {
    tensors.Weight(names.token_type_embedding, {config.num_token_types, config.hidden});
  }
  if (config.embedding_norm) tensors.Norm(names.embedding_norm);
  tensors.Stack(names.encoder, config.num_encoder_layers);
  tensors.Stack(names.decoder, config.num_decoder_layers);
  switch (config.head) {
    case Head::kLanguageModel:
      if (!config.tied_embeddings) {
        tensors.Weight(names.language_model_head, {config.vocab_size, config.hidden});
      }
      break;
    case Head::kSequenceClassification:
      tensors.Linear(names.pooler, config.hidden, config.hidden, true);
      tensors.Linear(names.classifier, config.num_labels, config.hidden, true);
      break;
    case Head::kQuestionAnswering:
      tensors.Linear(names.span_head, 2, config.hidden, true);
      break;
  }
  return tensors.Take();
}

namespace {

void AppendFfns(const ModelConfig& config, const StackNames& names, const std::string& prefix,
                int64_t num_layers, std::vector<FfnSpec>& out) {
  for (int64_t layer_idx = 0; layer_idx < num_layers; ++layer_idx) {
    const auto tensor = [&](const std::string& name, const char* suffix) {
      return LayerName(name, layer_idx) + suffix;
    };
    FfnSpec spec;
    spec.name = StrCat(prefix, "ffn.", layer_idx);
    spec.w_in = tensor(config.gated ? names.gated_in : names.w_in, ".weight");
    if (config.gated) spec.w_gate = tensor(names.gated_gate, ".weight");
    spec.w_out = tensor(names.w_out, ".weight");
    if (config.biases) {
      spec.b_in = tensor(config.gated ? names.gated_in : names.w_in, ".bias");
      spec.b_out = tensor(names.w_out, ".bias");
    }
    spec.hidden = config.hidden;
    spec.num_neurons = config.num_neurons;
    spec.activation = config.activation;
    out.push_back(std::move(spec));
  }
}

}  // namespace

std::vector<FfnSpec> FfnSpecs(const ModelConfig& config) {
  const ModelNames& names = GetFamily(config.family).names;
  const bool one_stack = config.architecture == Architecture::kEncoder;
  std::vector<FfnSpec> specs;
  AppendFfns(config, names.encoder, one_stack ? "" : "encoder.", config.num_encoder_layers, specs);
  AppendFfns(config, names.decoder, "decoder.", config.num_decoder_layers, specs);
  return specs;
}

}  // namespace moefy::model
