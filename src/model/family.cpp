#include "moefy/model/family.h"

#include <algorithm>

#include "model/families.h"
#include "moefy/base/error.h"

namespace moefy::model {

const std::vector<Family>& Families() {
  static const std::vector<Family> families = {
      T5Family(),     BertFamily(),    RobertaFamily(), DistilBertFamily(), Gpt2Family(),
      OptFamily(),    GptNeoXFamily(), LlamaFamily(),   MistralFamily(),    Qwen2Family(),
      GemmaFamily(),  PhiFamily(),     FalconFamily(),  BartFamily(),       M2M100Family(),
      MarianFamily(), PegasusFamily()};
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

namespace {

int64_t ReadSize(const JsonObject& json, const SizeKey& key, int64_t max, int64_t derived) {
  if (key.key.empty()) return derived;
  return json.GetInt(key.key, 1, max, key.if_absent > 0 ? key.if_absent : derived);
}

void ReadStack(const JsonObject& json, const StackKeys& keys, int64_t hidden, StackConfig& stack) {
  if (keys.layers.key.empty()) return;
  stack.num_layers = ReadSize(json, keys.layers, kMaxLayers, 1);
  stack.num_heads = ReadSize(json, keys.heads, kMaxWidth, 1);
  stack.num_kv_heads = ReadSize(json, keys.kv_heads, kMaxWidth, stack.num_heads);
  stack.head_dim = ReadSize(json, keys.head_dim, kMaxWidth, 0);
  stack.num_neurons = ReadSize(json, keys.neurons, kMaxWidth, std::min(4 * hidden, kMaxWidth));
}

// Sizes that must fit each other, whichever key they came from.
void CheckStack(const JsonObject& json, const ConfigKeys& all_keys, const StackKeys& keys,
                const ModelConfig& config, StackConfig& stack) {
  if (stack.num_layers == 0) return;
  if (stack.head_dim == 0) {
    if (config.hidden % stack.num_heads != 0) {
      throw InputError(json.PathOf(all_keys.hidden.key), " is ", config.hidden,
                       ", which does not divide into ", stack.num_heads, " attention heads (",
                       keys.heads.key, ")");
    }
    stack.head_dim = config.hidden / stack.num_heads;
  }
  if (stack.num_heads % stack.num_kv_heads != 0) {
    throw InputError(json.PathOf(keys.heads.key), " is ", stack.num_heads,
                     ", which does not divide into ", stack.num_kv_heads, " key heads",
                     keys.kv_heads.key.empty() ? "" : StrCat(" (", keys.kv_heads.key, ")"));
  }
  if (config.position == PositionKind::kRotary &&
      (config.rotary.dims < 2 || config.rotary.dims % 2 != 0 ||
       config.rotary.dims > stack.head_dim)) {
    throw InputError(json.PathOf(keys.heads.key), " is ", stack.num_heads, ": heads of ",
                     stack.head_dim, " dimensions, of which ", config.rotary.dims,
                     " are to be rotated; expected an even number of at most ", stack.head_dim);
  }
}

void CheckSizes(const JsonObject& json, const ConfigKeys& keys, ModelConfig& config) {
  CheckStack(json, keys, keys.encoder, config, config.encoder);
  CheckStack(json, keys, keys.decoder, config, config.decoder);
  if (config.position == PositionKind::kSinusoidal &&
      (config.hidden % 2 != 0 || config.sinusoid_steps <= 0)) {
    throw InputError(json.PathOf(keys.hidden.key), " is ", config.hidden,
                     "; sinusoidal positions need an even number from 4");
  }
}

}  // namespace

ModelConfig ParseModelConfig(const Json& json_text, const std::string& where) {
  const JsonObject json(json_text, where);
  const std::string model_type = json.GetString("model_type");
  std::vector<std::string> known;
  for (const Family& family : Families()) {
    const std::vector<std::string>& types = family.model_types;
    known.insert(known.end(), types.begin(), types.end());
    if (std::find(types.begin(), types.end(), model_type) == types.end()) continue;
    const ConfigKeys& keys = family.keys;
    ModelConfig config;
    config.family = family.name;
    config.model_type = model_type;
    config.vocab_size = config.input_vocab_size = ReadSize(json, keys.vocab, kMaxVocab, 1);
    config.hidden = config.embedding_width = ReadSize(json, keys.hidden, kMaxWidth, 1);
    config.max_positions = ReadSize(json, keys.positions, kMaxVocab, 0);
    ReadStack(json, keys.encoder, config.hidden, config.encoder);
    ReadStack(json, keys.decoder, config.hidden, config.decoder);
    config.architecture = keys.decoder.layers.key.empty()   ? Architecture::kEncoder
                          : keys.encoder.layers.key.empty() ? Architecture::kDecoder
                                                            : Architecture::kEncoderDecoder;
    family.read_config(json, config);
    CheckSizes(json, keys, config);
    return config;
  }
  throw InputError(json.PathOf("model_type"), " is ", Quoted(model_type),
                   ", a family moefy does not know", DidYouMean(model_type, known),
                   "; supported: ", Join(known),
                   " (`moefy split --ffn` splits other models by the names of their FFN tensors)");
}

ModelConfig ReadModelConfig(const std::filesystem::path& config_file) {
  return ParseModelConfig(ReadJsonFile(config_file), config_file.string());
}

ModelConfig ReadModelConfig(const io::Checkpoint& checkpoint, std::vector<std::string>* warnings) {
  return ReadModelConfig(checkpoint, ReadJsonFile(checkpoint.directory() / "config.json"),
                         warnings);
}

ModelConfig ReadModelConfig(const io::Checkpoint& checkpoint, const Json& json,
                            std::vector<std::string>* warnings) {
  ModelConfig config = ParseModelConfig(json, (checkpoint.directory() / "config.json").string());
  const Family& family = GetFamily(config.family);
  const auto warn = [&](const std::string& what) {
    if (warnings) warnings->push_back(StrCat(checkpoint.directory(), ": ", what));
  };
  const std::vector<std::string> stored = checkpoint.TensorNames();
  const auto is_based = [&](const auto& name) { return name.starts_with(family.base_prefix); };
  if (std::none_of(stored.begin(), stored.end(), is_based)) {
    config.missing_prefix = family.base_prefix;
  }
  config.gamma_beta = std::any_of(stored.begin(), stored.end(),
                                  [](const auto& name) { return name.ends_with(".gamma"); });
  if (!config.missing_prefix.empty()) {
    warn(StrCat("tensor names lack the prefix ", Quoted(config.missing_prefix),
                ", as in old checkpoints; read as if they had it"));
  }
  if (config.gamma_beta) {
    warn("norms are called gamma and beta, as in old checkpoints; read as weight and bias");
  }
  const ModelNames names = family.names(config);
  if (config.architecture == Architecture::kDecoder && config.head == Head::kLanguageModel &&
      !config.tied_embeddings && !config.head_bias &&
      !checkpoint.Find(names.language_model_head + ".weight")) {
    config.tied_embeddings = true;
    warn(StrCat("has no ", Quoted(names.language_model_head + ".weight"),
                "; the input embedding is used in its place"));
  }
  return config;
}

}  // namespace moefy::model
