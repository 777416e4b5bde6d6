#include "model/families.h"

#include <algorithm>
#include <array>
#include <utility>

#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// As Hugging Face's ACT2FN table names them, and "gelu_tanh" as ActivationName() does.
constexpr std::array<std::pair<const char*, Activation>, 8> kActivations = {{
    {"relu", Activation::kRelu},
    {"gelu", Activation::kGelu},
    {"gelu_tanh", Activation::kGeluTanh},
    {"gelu_new", Activation::kGeluTanh},
    {"gelu_pytorch_tanh", Activation::kGeluTanh},
    {"gelu_fast", Activation::kGeluTanh},
    {"silu", Activation::kSilu},
    {"swish", Activation::kSilu},
}};

constexpr std::array<std::pair<const char*, Head>, 6> kHeads = {{
    {"ForSequenceClassification", Head::kSequenceClassification},
    {"ForQuestionAnswering", Head::kQuestionAnswering},
    {"ForConditionalGeneration", Head::kLanguageModel},
    {"ForCausalLM", Head::kLanguageModel},
    {"LMHeadModel", Head::kLanguageModel},
    {"MTModel", Head::kLanguageModel},
}};

}  // namespace

std::string ActivationName(Activation activation) {
  constexpr std::array<const char*, 4> kNames = {"relu", "gelu", "gelu_tanh", "silu"};
  return kNames[static_cast<size_t>(activation)];
}

Activation ParseActivation(const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (const auto& [known_name, activation] : kActivations) {
    if (name == known_name) return activation;
    known.emplace_back(known_name);
  }
  throw InputError(where, " is ", Quoted(name), ", an activation moefy does not know",
                   DidYouMean(name, known), "; supported: ", Join(known));
}

Activation ReadActivation(const JsonObject& json, const std::string& key,
                          const std::string& if_absent) {
  return ParseActivation(json.GetString(key, if_absent), json.PathOf(key));
}

Head ReadHead(const JsonObject& config, const std::vector<Head>& supported) {
  const std::vector<std::string> architectures =
      config.Has("architectures") ? config.GetStrings("architectures") : std::vector<std::string>{};
  const std::string name = architectures.empty() ? "" : architectures.front();
  std::vector<std::string> known;
  for (const auto& [suffix, head] : kHeads) {
    if (std::find(supported.begin(), supported.end(), head) == supported.end()) continue;
    if (name.ends_with(suffix)) return head;
    known.push_back(StrCat("...", suffix));
  }
  throw InputError(config.PathOf("architectures"),
                   name.empty() ? " is missing or empty" : " names " + Quoted(name),
                   "; moefy runs models of this type with one of these heads: ", Join(known));
}

void ReadDecoderHead(const JsonObject& json, ModelConfig& config) {
  config.head = ReadHead(json, {Head::kLanguageModel, Head::kSequenceClassification});
  if (config.head == Head::kSequenceClassification) ReadLabels(json, config);
}

void ReadLabels(const JsonObject& config, ModelConfig& out) {
  constexpr int64_t kMaxLabels = 1 << 16;
  out.num_labels = config.GetInt("num_labels", 1, kMaxLabels, 2);
  if (!config.Has("id2label")) return;
  const JsonObject names = config.GetObject("id2label");
  out.num_labels = static_cast<int64_t>(names.Keys().size());
  if (out.num_labels < 1 || out.num_labels > kMaxLabels) {
    throw InputError(config.PathOf("id2label"), " has ", out.num_labels, " labels; expected 1 to ",
                     kMaxLabels);
  }
  for (int64_t i = 0; i < out.num_labels; ++i) {
    out.label_names.push_back(names.GetString(std::to_string(i)));
  }
}

void ReadRotaryScaling(const JsonObject& config, RotaryConfig& out) {
  if (!config.Has("rope_scaling")) return;
  const JsonObject scaling = config.GetObject("rope_scaling");
  const std::string key = scaling.Has("rope_type") ? "rope_type" : "type";
  const std::string type = scaling.GetString(key);
  if (type == "default") return;
  if (type != "linear" && type != "llama3") {
    throw InputError(scaling.PathOf(key), " is ", Quoted(type),
                     "; supported: default, linear, llama3");
  }
  out.factor = scaling.GetNumber("factor", 1, 1e6);
  if (type == "linear") return;
  out.llama3 = true;
  out.low_frequency_factor = scaling.GetNumber("low_freq_factor", 0, 1e6);
  out.high_frequency_factor = scaling.GetNumber("high_freq_factor", 0, 1e6);
  if (out.high_frequency_factor <= out.low_frequency_factor) {
    throw InputError(scaling.PathOf("high_freq_factor"), " is ", out.high_frequency_factor,
                     "; expected more than low_freq_factor, ", out.low_frequency_factor);
  }
  out.original_positions =
      static_cast<double>(scaling.GetInt("original_max_position_embeddings", 1, int64_t{1} << 40));
}

int64_t ReadTokenId(const JsonObject& config, const std::string& key, const ModelConfig& sizes,
                    int64_t if_absent) {
  const int64_t limit = std::max(sizes.vocab_size, sizes.input_vocab_size) - 1;
  if (config.Has(key) && config.GetRaw(key).is_array()) {
    const std::vector<int64_t> ids = config.GetInts(key, 0, limit);
    return ids.empty() ? -1 : ids.front();
  }
  if (!config.Has(key) && if_absent > limit) return -1;
  return config.GetInt(key, -1, limit, if_absent);
}

void RefuseIf(const JsonObject& config, const std::string& key, bool value, bool if_absent) {
  if (config.GetBool(key, if_absent) != value) return;
  throw InputError(config.PathOf(key), " is ", value ? "true" : "false",
                   ", which is not supported; only ", value ? "false" : "true", " is");
}

}  // namespace moefy::model
