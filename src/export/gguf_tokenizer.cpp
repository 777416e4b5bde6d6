#include "export/gguf_tokenizer.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "moefy/base/error.h"

namespace moefy::exports {
namespace {

// llama.cpp's token types.
enum TokenType : int32_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

// How llama.cpp calls a way to cut words, and the regular expression of tokenizer.json's Split.
struct SplitName {
  const char* pre;
  const char* regex;
};
constexpr std::array<SplitName, 2> kSplits = {{
    {"qwen2",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {"llama-bpe",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
}};

// The steps of the pre-tokenizer, one by one.
std::vector<JsonObject> PreTokenizers(const JsonObject& tokenizer) {
  if (!tokenizer.Has("pre_tokenizer")) return {};
  const JsonObject pre = tokenizer.GetObject("pre_tokenizer");
  if (pre.GetString("type") != "Sequence") return {pre};
  return pre.GetObjects("pretokenizers");
}

bool IsPlainByteLevel(const JsonObject& step, bool use_regex) {
  return step.GetString("type") == "ByteLevel" && !step.GetBool("add_prefix_space", true) &&
         step.GetBool("use_regex", true) == use_regex;
}

// llama.cpp's name of the way to cut words; "" for one that it does not have by these steps.
std::string PreName(const std::vector<JsonObject>& steps) {
  if (steps.size() == 1 && IsPlainByteLevel(steps[0], true)) return "gpt-2";
  if (steps.size() != 2) return "";
  if (steps[0].GetString("type") == "Digits") {
    const bool single = steps[0].GetBool("individual_digits", false);
    return single && IsPlainByteLevel(steps[1], true) ? "smollm" : "";
  }
  if (steps[0].GetString("type") != "Split" || !IsPlainByteLevel(steps[1], false)) return "";
  const JsonObject pattern = steps[0].GetObject("pattern");
  if (steps[0].GetString("behavior", "") != "Isolated" || !pattern.Has("Regex")) return "";
  for (const SplitName& split : kSplits) {
    if (pattern.GetString("Regex") == split.regex) return split.pre;
  }
  return "";
}

std::string TypesOf(const std::vector<JsonObject>& steps) {
  std::vector<std::string> types;
  for (const JsonObject& step : steps) types.push_back(step.GetString("type"));
  return types.empty() ? "none" : Join(types, " and ");
}

// Merges are "a b", or ["a", "b"] in newer files.
std::vector<std::string> ReadMerges(const JsonObject& bpe) {
  const Json& merges = bpe.GetRaw("merges");
  if (merges.empty() || merges.front().is_string()) return bpe.GetStrings("merges");
  std::vector<std::string> out;
  for (const Json& pair : merges) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      throw InputError(bpe.PathOf("merges"), "[", out.size(), "] is ", pair.dump(),
                       "; expected two tokens");
    }
    out.push_back(pair[0].get<std::string>() + " " + pair[1].get<std::string>());
  }
  return out;
}

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
};

Vocabulary ReadVocabulary(const JsonObject& tokenizer, const JsonObject& bpe, int64_t size) {
  Vocabulary out;
  out.tokens.resize(static_cast<size_t>(size));
  out.types.assign(static_cast<size_t>(size), kUnused);
  const JsonObject vocab = bpe.GetObject("vocab");
  const auto put = [&](const std::string& token, int64_t id, TokenType type) {
    out.tokens[static_cast<size_t>(id)] = token;
    out.types[static_cast<size_t>(id)] = type;
  };
  for (const std::string& token : vocab.Keys()) {
    put(token, vocab.GetInt(token, 0, size - 1), kNormal);
  }
  for (const JsonObject& added : tokenizer.GetObjects("added_tokens")) {
    put(added.GetString("content"), added.GetInt("id", 0, size - 1),
        added.GetBool("special", false) ? kControl : kUserDefined);
  }
  for (size_t i = 0; i < out.tokens.size(); ++i) {  // rows that have no token
    if (out.types[i] == kUnused) out.tokens[i] = StrCat("[PAD", i, "]");
  }
  return out;
}

// A token of tokenizer_config.json: a text, or an object that has it as "content".
std::string TokenText(const JsonObject& config, const std::string& key) {
  if (!config.Has(key)) return "";
  const Json& raw = config.GetRaw(key);
  return raw.is_object() ? config.GetObject(key).GetString("content") : config.GetString(key);
}

// Whether a text begins with a token that the tokenizer puts there.
bool AddsFirstToken(const JsonObject& tokenizer) {
  if (!tokenizer.Has("post_processor")) return false;
  const JsonObject post = tokenizer.GetObject("post_processor");
  const std::vector<JsonObject> steps = post.GetString("type") == "Sequence"
                                            ? post.GetObjects("processors")
                                            : std::vector<JsonObject>{post};
  return std::ranges::any_of(steps, [](const JsonObject& step) {
    if (step.GetString("type") != "TemplateProcessing") return false;
    const std::vector<JsonObject> single = step.GetObjects("single");
    return !single.empty() && single.front().Has("SpecialToken");
  });
}

}  // namespace

GgufMetadata GgufTokenizer(const std::filesystem::path& directory,
                           const model::ModelConfig& config) {
  const std::filesystem::path file = directory / "tokenizer.json";
  GgufMetadata out;
  const auto add = [&](const std::string& key, GgufValue value) {
    out.emplace_back("tokenizer." + key, std::move(value));
  };
  if (!std::filesystem::exists(file)) {
    add("ggml.model", std::string("none"));
    return out;
  }
  const Json json = ReadJsonFile(file);
  const JsonObject tokenizer(json, file.string());
  const JsonObject bpe = tokenizer.GetObject("model");
  const std::string type = bpe.GetString("type", "");
  const std::vector<JsonObject> steps = PreTokenizers(tokenizer);
  const std::string pre = type == "BPE" ? PreName(steps) : "";
  if (pre.empty()) {
    throw InputError(file, ": a model of the type ", Quoted(type), " with the pre-tokenizer ",
                     TypesOf(steps),
                     " cannot be written to GGUF; byte-level BPE of GPT-2's, "
                     "SmolLM's, Qwen2's and Llama 3's kind can be. Another format keeps the "
                     "tokenizer as it is, and llama.cpp's own converter may know it");
  }
  const Vocabulary vocabulary = ReadVocabulary(tokenizer, bpe, config.vocab_size);
  add("ggml.model", std::string("gpt2"));
  add("ggml.pre", pre);
  add("ggml.tokens", vocabulary.tokens);
  add("ggml.token_type", vocabulary.types);
  add("ggml.merges", ReadMerges(bpe));
  if (config.eos_id >= 0) add("ggml.eos_token_id", static_cast<uint32_t>(config.eos_id));
  if (config.pad_id >= 0) add("ggml.padding_token_id", static_cast<uint32_t>(config.pad_id));
  add("ggml.add_bos_token", AddsFirstToken(tokenizer));
  const std::filesystem::path options = directory / "tokenizer_config.json";
  if (!std::filesystem::exists(options)) return out;
  const Json more = ReadJsonFile(options);
  const JsonObject settings(more, options.string());
  for (const char* name : {"bos", "unk"}) {
    const std::string text = TokenText(settings, std::string(name) + "_token");
    const auto found = std::ranges::find(vocabulary.tokens, text);
    if (text.empty() || found == vocabulary.tokens.end()) continue;
    const std::string key = std::string(name) == "unk" ? "unknown" : name;
    add("ggml." + key + "_token_id", static_cast<uint32_t>(found - vocabulary.tokens.begin()));
  }
  if (settings.Has("chat_template") && settings.GetRaw("chat_template").is_string()) {
    add("chat_template", settings.GetString("chat_template"));
  }
  return out;
}

}  // namespace moefy::exports
