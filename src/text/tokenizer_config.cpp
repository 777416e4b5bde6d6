#include "text/tokenizer_config.h"

#include <charconv>
#include <map>

#include "moefy/base/error.h"

namespace moefy::text {
namespace {

int64_t ParseId(const std::string& text, const std::string& where) {
  int64_t id = -1;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (code != std::errc() || end != text.data() + text.size() || id < 0 || id > kMaxTokenId) {
    throw InputError(where, ": ", Quoted(text), " is not a token id");
  }
  return id;
}

bool Exists(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::string TokenContent(const Json& json, const std::string& where) {
  if (json.is_string()) return json.get<std::string>();
  return JsonObject(json, where).GetString("content");
}

}  // namespace

std::string TokenizerConfig::ClassName() const {
  std::string name = object().GetString("tokenizer_class", "");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (!name.empty() || model_type.empty()) return name;
  static const std::map<std::string, std::string> kClasses = {
      {"bart", "BartTokenizer"},       {"bert", "BertTokenizer"},   {"distilbert", "BertTokenizer"},
      {"gpt2", "GPT2Tokenizer"},       {"llama", "LlamaTokenizer"}, {"mistral", "LlamaTokenizer"},
      {"opt", "GPT2Tokenizer"},        {"phi", "CodeGenTokenizer"}, {"qwen2", "Qwen2Tokenizer"},
      {"roberta", "RobertaTokenizer"}, {"t5", "T5Tokenizer"}};
  const auto found = kClasses.find(model_type);
  return found == kClasses.end() ? "" : found->second;
}

std::string TokenizerConfig::GetToken(const std::string& key, const std::string& if_absent) const {
  const JsonObject config = object();
  if (!config.Has(key)) return if_absent;
  return TokenContent(config.GetRaw(key), config.PathOf(key));
}

std::vector<std::string> TokenizerConfig::GetAdditionalSpecialTokens() const {
  const std::string key = "additional_special_tokens";
  const JsonObject config = object();
  std::vector<std::string> tokens;
  if (!config.Has(key)) return tokens;
  const Json& list = config.GetRaw(key);
  if (!list.is_array()) throw InputError(config.PathOf(key), ": expected an array of tokens");
  for (const Json& entry : list) tokens.push_back(TokenContent(entry, config.PathOf(key)));
  return tokens;
}

TokenizerConfig ReadTokenizerConfig(const std::filesystem::path& directory) {
  TokenizerConfig config;
  config.file = directory / "tokenizer_config.json";
  if (Exists(config.file)) config.json = ReadJsonFile(config.file);
  const JsonObject object = config.object();
  if (const std::filesystem::path model = directory / "config.json"; Exists(model)) {
    const Json json = ReadJsonFile(model);
    config.model_type = JsonObject(json, model.string()).GetString("model_type", "");
  }
  if (object.Has("added_tokens_decoder")) {
    const JsonObject decoder = object.GetObject("added_tokens_decoder");
    for (const std::string& key : decoder.Keys()) {
      const JsonObject entry = decoder.GetObject(key);
      config.added_tokens.push_back({.content = entry.GetString("content"),
                                     .id = ParseId(key, object.PathOf("added_tokens_decoder")),
                                     .strip_left = entry.GetBool("lstrip", false),
                                     .strip_right = entry.GetBool("rstrip", false),
                                     .single_word = entry.GetBool("single_word", false),
                                     .special = entry.GetBool("special", false)});
    }
    return config;
  }
  // The way of older versions: special tokens in a file of their own, which goes first.
  if (const std::filesystem::path map = directory / "special_tokens_map.json"; Exists(map)) {
    const Json json = ReadJsonFile(map);
    for (const std::string& key : JsonObject(json, map.string()).Keys()) {
      config.json[key] = json[key];
    }
  }
  const std::filesystem::path added_file = directory / "added_tokens.json";
  if (Exists(added_file)) {
    const Json json = ReadJsonFile(added_file);
    const JsonObject added(json, added_file.string());
    for (const std::string& content : added.Keys()) {
      const int64_t id = added.GetInt(content, 0, kMaxTokenId);
      config.added_tokens.push_back({.content = content, .id = id, .special = false});
    }
  }
  return config;
}

}  // namespace moefy::text
