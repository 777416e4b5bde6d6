#include "model/families/families.h"

#include <algorithm>
#include <array>
#include <utility>

#include "model/activation.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// How the names of classes end; the first row that fits counts.
constexpr std::array<std::pair<const char*, Head>, 9> kHeads = {{
    {"ForSequenceClassification", Head::kSequenceClassification},
    {"ForQuestionAnswering", Head::kQuestionAnswering},
    {"ForConditionalGeneration", Head::kLanguageModel},
    {"ForCausalLM", Head::kLanguageModel},
    {"LMHeadModel", Head::kLanguageModel},
    {"MTModel", Head::kLanguageModel},
    {"ForMaskedLM", Head::kMaskedLanguageModel},
    {"ForTokenClassification", Head::kTokenClassification},
    {"Model", Head::kNone},
}};

}  // namespace

Activation ReadActivation(const JsonObject& json, const std::string& key,
                          const std::string& if_absent) {
  const std::string name = json.GetString(key, if_absent);
  if (name != "fatrelu") return ParseActivation(name, json.PathOf(key));
  constexpr double kMaxThreshold = 1e6;
  Activation activation = Activation::kFatRelu;
  activation.threshold = json.GetNumber("hidden_act_param", -kMaxThreshold, kMaxThreshold);
  return activation;
}

std::optional<Head> HeadOfClass(const std::string& class_name, const std::vector<Head>& supported) {
  for (const auto& [suffix, head] : kHeads) {
    if (std::ranges::find(supported, head) == supported.end()) continue;
    if (class_name.ends_with(suffix)) return head;
  }
  return std::nullopt;
}

Head ReadHead(const JsonObject& config, const std::vector<Head>& supported) {
  const std::vector<std::string> architectures =
      config.Has("architectures") ? config.GetStrings("architectures") : std::vector<std::string>{};
  const std::string name = architectures.empty() ? "" : architectures.front();
  if (const std::optional<Head> head = HeadOfClass(name, supported)) return *head;
  if (name.empty() && supported.front() == Head::kNone) return Head::kNone;
  std::vector<std::string> known;
  for (const auto& [suffix, head] : kHeads) {
    if (std::ranges::find(supported, head) == supported.end()) continue;
    known.push_back(StrCat("...", suffix));
  }
  throw InputError(config.PathOf("architectures"),
                   name.empty() ? " is missing or empty" : " names " + Quoted(name),
                   "; moefy runs models of this type with one of these heads: ", Join(known));
}

const std::vector<Head>& EncoderHeads() {
  using enum Head;
  static const std::vector<Head> heads = {kNone, kSequenceClassification, kQuestionAnswering,
                                          kTokenClassification, kMaskedLanguageModel};
  return heads;
}

void ReadDecoderHead(const JsonObject& json, ModelConfig& config) {
  config.head = ReadHead(json, {Head::kLanguageModel, Head::kSequenceClassification});
  if (config.head == Head::kSequenceClassification) ReadLabels(json, config);
}

namespace {

void ReadLabelNames(const JsonObject& config, int64_t max_labels, ModelConfig& out) {
  const JsonObject names = config.GetObject("id2label");
  out.num_labels = static_cast<int64_t>(names.Keys().size());
  if (out.num_labels < 1 || out.num_labels > max_labels) {
    throw InputError(config.PathOf("id2label"), " has ", out.num_labels, " labels; expected 1 to ",
                     max_labels);
  }
  for (int64_t i = 0; i < out.num_labels; ++i) {
    out.label_names.push_back(names.GetString(std::to_string(i)));
  }
}

}  // namespace

void ReadLabels(const JsonObject& config, ModelConfig& out) {
  constexpr int64_t kMaxLabels = 1 << 16;
  out.num_labels = config.GetInt("num_labels", 1, kMaxLabels, 2);
  if (config.Has("id2label")) ReadLabelNames(config, kMaxLabels, out);
  if (out.head != Head::kSequenceClassification) return;
  constexpr std::pair<const char*, Problem> kProblems[] = {
      {"single_label_classification", Problem::kSingleLabel},
      {"multi_label_classification", Problem::kMultiLabel},
      {"regression", Problem::kRegression}};
  // In the reference, one output is a value and several are labels.
  const std::string problem =
      config.GetString("problem_type", kProblems[out.num_labels == 1 ? 2 : 0].first);
  for (const auto& [name, value] : kProblems) {
    if (problem != name) continue;
    out.problem = value;
    return;
  }
  throw InputError(config.PathOf("problem_type"), " is ", Quoted(problem), "; expected ",
                   kProblems[0].first, ", ", kProblems[1].first, " or ", kProblems[2].first);
}

bool IsThere(const JsonObject& json, const std::string& key) {
  const std::vector<std::string> keys = json.Keys();
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

int64_t ReadTokenId(const JsonObject& config, const std::string& key, const ModelConfig& sizes,
                    int64_t if_absent) {
  const int64_t limit = std::max(sizes.vocab_size, sizes.input_vocab_size) - 1;
  if (config.Has(key) && config.GetRaw(key).is_array()) {
    const std::vector<int64_t> ids = config.GetInts(key, 0, limit);
    return ids.empty() ? -1 : ids.front();
  }
  if (!config.Has(key)) {  // null is none; a default may be beyond a small vocabulary
    return IsThere(config, key) || if_absent > limit ? -1 : if_absent;
  }
  return config.GetInt(key, -1, limit);
}

void RefuseIf(const JsonObject& config, const std::string& key, bool value, bool if_absent) {
  if (config.GetBool(key, if_absent) != value) return;
  throw InputError(config.PathOf(key), " is ", value ? "true" : "false",
                   ", which is not supported; only ", value ? "false" : "true", " is");
}

}  // namespace moefy::model
