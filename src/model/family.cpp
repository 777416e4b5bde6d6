#include "model/family.h"

#include <algorithm>

#include "model/families/config_keys.h"
#include "model/families/families.h"
#include "model/families/foreign_classes.h"
#include "model/stored_names.h"
#include "moefy/base/error.h"

namespace moefy::model {

const std::vector<Family>& Families() {
  static const std::vector<Family> families = {
      T5Family(),      Mt5Family(),          Umt5Family(),     BertFamily(),
      RobertaFamily(), DistilBertFamily(),   ElectraFamily(),  AlbertFamily(),
      DebertaFamily(), ModernBertFamily(),   Gpt2Family(),     OptFamily(),
      GptNeoXFamily(), LlamaFamily(),        MistralFamily(),  Qwen2Family(),
      Qwen3Family(),   SmolLm3Family(),      GraniteFamily(),  Olmo2Family(),
      GemmaFamily(),   Gemma2Family(),       Gemma3Family(),   PhiFamily(),
      Phi3Family(),    StableLmFamily(),     NemotronFamily(), Starcoder2Family(),
      FalconFamily(),  BartFamily(),         M2M100Family(),   MarianFamily(),
      PegasusFamily(), MBartFamily(),        MixtralFamily(),  Qwen2MoeFamily(),
      OlmoeFamily(),   MarianStudentFamily()};
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
  const int64_t if_absent = key.if_absent > 0 ? key.if_absent : derived;
  if (key.old_key.empty() || !json.Has(key.old_key)) {
    return json.GetInt(key.key, 1, max, if_absent);
  }
  const int64_t old = json.GetInt(key.old_key, 1, max);
  if (const int64_t size = json.GetInt(key.key, 1, max, old); size != old) {
    throw InputError(json.PathOf(key.key), " is ", size, ", and ", key.old_key,
                     ", its old name, is ", old, "; one of them must go");
  }
  return old;
}

void ReadStack(const JsonObject& json, const StackKeys& keys, int64_t hidden, StackConfig& stack) {
  if (keys.layers.key.empty()) return;
  stack.num_layers = ReadSize(json, keys.layers, kMaxLayers, 1);
  stack.num_heads = ReadSize(json, keys.heads, kMaxWidth, 1);
  stack.num_kv_heads = ReadSize(json, keys.kv_heads, kMaxWidth, stack.num_heads);
  stack.head_dim = ReadSize(json, keys.head_dim, kMaxWidth, 0);
  stack.num_neurons = ReadSize(json, keys.neurons, kMaxWidth, std::min(4 * hidden, kMaxWidth));
}

// Checks sizes that must fit each other, whichever key they came from.
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
  if (config.position != PositionKind::kRotary) return;
  for (const int64_t dims :
       {config.rotary.dims, config.local_rotary.value_or(config.rotary).dims}) {
    // If the number is odd, the reference rotates one dimension more.
    if (dims >= 1 && dims + dims % 2 <= stack.head_dim) continue;
    throw InputError(json.PathOf(keys.heads.key), " is ", stack.num_heads, ": heads of ",
                     stack.head_dim, " dimensions, of which ", dims,
                     " are to be rotated; expected an even number of 2 to ", stack.head_dim,
                     ", or an odd one below that");
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

// Gives each model one form: layers are listed only if they differ, windows only if one is used.
void Simplify(ModelConfig& config) {
  auto& layers = config.layer_attention;
  if (std::none_of(layers.begin(), layers.end(),
                   [](const auto& layer) { return layer.windowed; }) &&
      !layers.empty()) {
    config.sliding_window = 0;
  }
  if (config.sliding_window == 0) {
    for (LayerAttention& layer : layers) layer.windowed = true;
    config.local_rotary.reset();
  }
  const auto is_plain = [](const LayerAttention& layer) { return layer == LayerAttention(); };
  if (std::all_of(layers.begin(), layers.end(), is_plain)) layers.clear();
}

bool HasUnknownEncoderHead(const JsonObject& json, const Family& family) {
  if (!family.keys.decoder.layers.key.empty() || !json.Has("architectures")) return false;
  const std::vector<std::string> classes = json.GetStrings("architectures");
  return !classes.empty() && !HeadOfClass(classes.front(), EncoderHeads());
}

// The same config.json with the class that has no head.
Json WithoutHead(const Json& json_text, const JsonObject& json, const Family& family,
                 std::vector<std::string>* warnings) {
  if (warnings) {
    warnings->push_back(StrCat(json.PathOf("architectures"), " names ",
                               Quoted(json.GetStrings("architectures").front()),
                               ", which has a head that moefy cannot run; its FFNs are read, and "
                               "the head's tensors stay as they are"));
  }
  Json bare = json_text;
  bare["architectures"] = Json::array({family.class_names.front() + "Model"});
  return bare;
}

}  // namespace

ModelConfig ParseModelConfig(const Json& json_text, const std::string& where,
                             std::vector<std::string>* warnings, ReadFor read_for) {
  const JsonObject json(json_text, where);
  const std::string model_type = json.GetString("model_type");
  std::vector<std::string> known;
  for (const Family& family : Families()) {
    const std::vector<std::string>& types = family.model_types;
    known.insert(known.end(), types.begin(), types.end());
    if (std::find(types.begin(), types.end(), model_type) == types.end()) continue;
    CheckClass(json, family);
    const ConfigKeys& keys = family.keys;
    if (read_for == ReadFor::kFfns && HasUnknownEncoderHead(json, family)) {
      return ParseModelConfig(WithoutHead(json_text, json, family, warnings), where, warnings);
    }
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
    ApplyForeignClass(json, config);
    Simplify(config);
    CheckSizes(json, keys, config);
    CheckUnreadKeys(json, family, warnings);
    return config;
  }
  // No name is suggested: nobody types this value, and families of like names compute other things.
  throw InputError(json.PathOf("model_type"), " is ", Quoted(model_type),
                   ", a family moefy does not know; supported: ", Join(known),
                   " (`moefy split --ffn` splits other models by the names of their FFN tensors)");
}

ModelConfig ReadModelConfig(const std::filesystem::path& config_file) {
  return ParseModelConfig(ReadJsonFile(config_file), config_file.string());
}

ModelConfig ReadModelConfig(const io::Checkpoint& checkpoint, std::vector<std::string>* warnings,
                            ReadFor read_for) {
  const std::string& text = checkpoint.ConfigText();
  return ReadModelConfig(checkpoint,
                         text.empty() ? ReadJsonFile(checkpoint.ConfigPath())  // which says why
                                      : ParseJsonFile(checkpoint.ConfigPath(), text),
                         warnings, read_for);
}

ModelConfig ReadModelConfig(const io::Checkpoint& checkpoint, const Json& json,
                            std::vector<std::string>* warnings, ReadFor read_for) {
  ModelConfig config = ParseModelConfig(json, checkpoint.ConfigPath().string(), warnings, read_for);
  const Family& family = GetFamily(config.family);
  FindStoredNames(checkpoint, family, config, [&](const std::string& what) {
    if (warnings) warnings->push_back(StrCat(checkpoint.directory(), ": ", what));
  });
  return config;
}

}  // namespace moefy::model
