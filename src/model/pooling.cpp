#include "model/pooling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/json.h"
#include "moefy/base/error.h"
#include "moefy/base/strings.h"

namespace moefy::model {
namespace {

namespace fs = std::filesystem;

struct PoolingRow {
  Pooling pooling;
  const char* key;   // set to true in 1_Pooling/config.json
  const char* name;  // as the value of "pooling_mode"
};

// The order in which several poolings are put together.
constexpr std::array<PoolingRow, 6> kPoolings = {{
    {Pooling::kFirst, "pooling_mode_cls_token", "cls"},
    {Pooling::kMax, "pooling_mode_max_tokens", "max"},
    {Pooling::kMean, "pooling_mode_mean_tokens", "mean"},
    {Pooling::kMeanSqrt, "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"},
    {Pooling::kWeightedMean, "pooling_mode_weightedmean_tokens", "weightedmean"},
    {Pooling::kLast, "pooling_mode_lasttoken", "lasttoken"},
}};

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::vector<Pooling> ParsePooling(const JsonObject& json) {
  std::vector<Pooling> poolings;
  std::vector<std::string> keys, names;
  const std::string mode = json.GetString("pooling_mode", "");
  for (const PoolingRow& row : kPoolings) {
    keys.emplace_back(row.key);
    names.emplace_back(row.name);
    // The reference takes the mean if the file names no pooling at all.
    if (mode.empty() ? json.GetBool(row.key, false) : mode == row.name) {
      poolings.push_back(row.pooling);
    }
  }
  for (const std::string& key : json.Keys()) {
    if (!key.starts_with("pooling_mode_") || std::ranges::find(keys, key) != keys.end()) continue;
    throw InputError(json.PathOf(key), ": a pooling moefy does not know; supported: ", Join(keys));
  }
  if (poolings.empty() && !mode.empty()) {
    throw InputError(json.PathOf("pooling_mode"), " is ", Quoted(mode), DidYouMean(mode, names),
                     "; supported: ", Join(names));
  }
  if (poolings.empty()) throw InputError(json.PathOf(keys[2]), ": no pooling is switched on");
  return poolings;
}

void ReadTransformerModule(const fs::path& directory, TextEmbedding& embedding) {
  const fs::path file = directory / "sentence_bert_config.json";
  if (!Exists(file)) return;
  const Json text = ReadJsonFile(file);
  const JsonObject json(text, file.string());
  embedding.max_tokens = json.GetInt("max_seq_length", 1, int64_t{1} << 40, 0);
  embedding.lower_case = json.GetBool("do_lower_case", false);
}

void ReadPrompt(const fs::path& directory, TextEmbedding& embedding) {
  const fs::path file = directory / "config_sentence_transformers.json";
  if (!Exists(file)) return;
  const Json text = ReadJsonFile(file);
  const JsonObject json(text, file.string());
  const std::string name = json.GetString("default_prompt_name", "");
  if (!name.empty()) embedding.prompt = json.GetObject("prompts").GetString(name);
}

// What follows the last dot in a row of modules.json: "sentence_transformers.models.Pooling".
std::string ModuleName(const JsonObject& module) {
  const std::string type = module.GetString("type");
  return type.substr(type.rfind('.') + 1);
}

}  // namespace

TextEmbedding ReadTextEmbedding(const fs::path& directory, std::vector<std::string>* warnings) {
  TextEmbedding embedding;
  const fs::path file = directory / "modules.json";
  if (!Exists(file)) {
    if (warnings) {
      warnings->push_back(StrCat(directory,
                                 " has no modules.json that says how a text becomes one ",
                                 "vector: it is the mean over its tokens"));
    }
    return embedding;
  }
  const Json list = ReadJsonFile(file);
  if (!list.is_array()) throw InputError(file, ": expected an array of modules");
  embedding.pooling.clear();
  bool include_prompt = true;
  for (const Json& entry : list) {
    const JsonObject module(entry, file.string());
    const std::string name = ModuleName(module);
    const fs::path place = directory / module.GetString("path", "");
    if (name == "Transformer") {
      ReadTransformerModule(place, embedding);
    } else if (name == "Pooling" && embedding.pooling.empty()) {
      const fs::path config = place / "config.json";
      const Json text = ReadJsonFile(config);
      const JsonObject json(text, config.string());
      embedding.pooling = ParsePooling(json);
      include_prompt = json.GetBool("include_prompt", true);
    } else if (name == "Normalize" && !embedding.pooling.empty()) {
      embedding.normalize = true;
    } else if (name != "Dropout") {
      throw InputError(module.PathOf("type"), " is ", Quoted(module.GetString("type")),
                       ", which is not supported here; supported: Transformer, then Pooling, then ",
                       "Normalize");
    }
  }
  if (embedding.pooling.empty()) throw InputError(file, ": no Pooling among the modules");
  ReadPrompt(directory, embedding);
  if (!embedding.prompt.empty() && !include_prompt) {
    throw InputError(directory / "config_sentence_transformers.json", ": the prompt ",
                     Quoted(embedding.prompt), " is to be left out of the pooling ",
                     "(include_prompt), which is not supported");
  }
  return embedding;
}

at::Tensor EmbedTexts(const TextEmbedding& embedding, const at::Tensor& states,
                      const at::Tensor& mask) {
  const at::Tensor real =
      (mask.defined() ? mask != 0 : at::ones({states.size(0), states.size(1)}, at::kBool))
          .unsqueeze(2);  // [batch, tokens, 1]
  const at::Tensor weights = real.to(states.scalar_type());
  const at::Tensor count = weights.sum(1).clamp_min(1e-9);  // [batch, 1]
  const at::Tensor order = weights.cumsum(1) * weights;     // 1, 2, ... of real tokens
  std::vector<at::Tensor> parts;
  for (const Pooling pooling : embedding.pooling) {
    switch (pooling) {
      case Pooling::kFirst: {
        const at::Tensor first = (order == 1).to(states.scalar_type());
        parts.push_back((states * first).sum(1));
        break;
      }
      case Pooling::kMax:
        parts.push_back(states.masked_fill(real.logical_not(), -1e9).amax(1));
        break;
      case Pooling::kMean:
        parts.push_back((states * weights).sum(1) / count);
        break;
      case Pooling::kMeanSqrt:
        parts.push_back((states * weights).sum(1) / count.sqrt());
        break;
      case Pooling::kWeightedMean:
        parts.push_back((states * order).sum(1) / order.sum(1).clamp_min(1e-9));
        break;
      case Pooling::kLast: {
        const at::Tensor last = (weights * (order == count.unsqueeze(1))).to(states.scalar_type());
        parts.push_back((states * last).sum(1));
        break;
      }
    }
  }
  const at::Tensor vectors = at::cat(parts, 1);
  if (!embedding.normalize) return vectors;
  return vectors / vectors.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);
}

}  // namespace moefy::model
