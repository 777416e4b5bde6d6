#include "model/families.h"

#include <array>
#include <utility>

#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// As Hugging Face's ACT2FN table names them.
constexpr std::array<std::pair<const char*, Activation>, 7> kActivations = {{
    {"relu", Activation::kRelu},
    {"gelu", Activation::kGelu},
    {"gelu_new", Activation::kGeluTanh},
    {"gelu_pytorch_tanh", Activation::kGeluTanh},
    {"gelu_fast", Activation::kGeluTanh},
    {"silu", Activation::kSilu},
    {"swish", Activation::kSilu},
}};

constexpr std::array<std::pair<const char*, Head>, 3> kHeads = {{
    {"ForSequenceClassification", Head::kSequenceClassification},
    {"ForQuestionAnswering", Head::kQuestionAnswering},
    {"ForConditionalGeneration", Head::kLanguageModel},
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

Head ReadHead(const JsonObject& config) {
  const std::vector<std::string> architectures =
      config.Has("architectures") ? config.GetStrings("architectures") : std::vector<std::string>{};
  const std::string name = architectures.empty() ? "" : architectures.front();
  std::vector<std::string> known;
  for (const auto& [suffix, head] : kHeads) {
    if (name.ends_with(suffix)) return head;
    known.push_back(StrCat("...", suffix));
  }
  throw InputError(config.PathOf("architectures"),
                   name.empty() ? " is missing or empty" : " names " + Quoted(name),
                   "; moefy runs models with one of these heads: ", Join(known));
}

void ReadLabels(const JsonObject& config, ModelConfig& out) {
  constexpr int64_t kMaxLabels = 1 << 16;
  out.num_labels = config.GetInt("num_labels", 1, kMaxLabels, 2);
  if (!config.Has("id2label")) return;
  const JsonObject names = config.GetObject("id2label");
  out.num_labels = static_cast<int64_t>(names.Keys().size());
  for (int64_t i = 0; i < out.num_labels; ++i) {
    out.label_names.push_back(names.GetString(std::to_string(i)));
  }
}

}  // namespace moefy::model
