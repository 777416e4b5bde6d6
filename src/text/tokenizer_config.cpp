#include "text/tokenizer_config.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "moefy/base/error.h"
#include "text/tokenizer_classes.h"

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

AddedToken ParseAddedToken(const JsonObject& entry, int64_t id) {
  return {.content = entry.GetString("content"),
          .id = id,
          .strip_left = entry.GetBool("lstrip", false),
          .strip_right = entry.GetBool("rstrip", false),
          .single_word = entry.GetBool("single_word", false),
          .special = entry.GetBool("special", false)};
}

// The other file's tokens replace the configuration's, except lists, which add to them.
void AddSpecialTokensMap(const Json& map, const std::string& where, TokenizerConfig& config) {
  const std::string list = "additional_special_tokens";
  for (const std::string& key : JsonObject(map, where).Keys()) {
    Json value = map[key];
    if (key == list && value.is_array() && config.json.contains(list) &&
        config.json[list].is_array()) {
      Json both = config.json[list];
      both.insert(both.end(), value.begin(), value.end());
      value = std::move(both);
    }
    config.json[key] = std::move(value);
  }
}

std::string TokenContent(const Json& json, const std::string& where) {
  if (json.is_string()) return json.get<std::string>();
  return JsonObject(json, where).GetString("content");
}

}  // namespace

std::string TokenizerConfig::ClassName() const {
  std::string name = object().GetString("tokenizer_class", "");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (name.empty()) name = ClassOfModel(model_type).value_or("");
  // These are old spellings, and classes that differ in name only.
  static const std::map<std::string, std::string> kSame = {{"LLaMATokenizer", "LlamaTokenizer"},
                                                           {"MT5Tokenizer", "T5Tokenizer"}};
  const auto found = kSame.find(name);
  return found == kSame.end() ? name : found->second;
}

std::string TokenizerConfig::GetToken(const std::string& key, const std::string& if_absent) const {
  const JsonObject config = object();
  if (!config.Has(key)) return if_absent;
  return TokenContent(config.GetRaw(key), config.PathOf(key));
}

AddedToken TokenizerConfig::GetAddedToken(const std::string& key, const std::string& if_absent,
                                          bool strip_left) const {
  AddedToken token = {.content = GetToken(key, if_absent), .strip_left = strip_left};
  const JsonObject config = object();
  if (json.contains(key) && json[key].is_null()) token.content.clear();
  if (config.Has(key) && config.GetRaw(key).is_object()) {
    const JsonObject entry = config.GetObject(key);
    token.strip_left = entry.GetBool("lstrip", false);
    token.strip_right = entry.GetBool("rstrip", false);
    token.single_word = entry.GetBool("single_word", false);
  }
  return token;
}

std::vector<std::string> TokenizerConfig::GetAdditionalSpecialTokens() const {
  const JsonObject config = object();
  std::vector<std::string> tokens;
  // The second is the newer name; there, tokens may have names of their own.
  for (const std::string key : {"additional_special_tokens", "extra_special_tokens"}) {
    if (!config.Has(key)) continue;
    const Json& list = config.GetRaw(key);
    const bool named = key == "extra_special_tokens" && list.is_object();
    if (!list.is_array() && !named) {
      throw InputError(config.PathOf(key), ": expected an array of tokens");
    }
    for (const Json& entry : list) {
      std::string content = TokenContent(entry, config.PathOf(key));
      if (std::find(tokens.begin(), tokens.end(), content) == tokens.end()) {
        tokens.push_back(std::move(content));
      }
    }
  }
  return tokens;
}

TokenizerConfig ReadTokenizerConfig(const std::filesystem::path& directory,
                                    const std::string& model_config) {
  TokenizerConfig config;
  config.file = directory / "tokenizer_config.json";
  if (Exists(config.file)) config.json = ReadJsonFile(config.file);
  const JsonObject object = config.object();
  if (!model_config.empty()) {
    const std::filesystem::path model = directory / "config.json";
    const Json json = ParseJsonFile(model, model_config);
    const JsonObject fields(json, model.string());
    config.model_type = fields.GetString("model_type", "");
    config.model_vocab_size = fields.GetInt("vocab_size", 0, kMaxTokenId, 0);
  }
  if (object.Has("added_tokens_decoder")) {
    const JsonObject decoder = object.GetObject("added_tokens_decoder");
    for (const std::string& key : decoder.Keys()) {
      const int64_t id = ParseId(key, object.PathOf("added_tokens_decoder"));
      config.added_tokens.push_back(ParseAddedToken(decoder.GetObject(key), id));
    }
    return config;
  }
  // Older versions wrote special tokens to a file of their own, which is read first.
  if (const std::filesystem::path map = directory / "special_tokens_map.json"; Exists(map)) {
    AddSpecialTokensMap(ReadJsonFile(map), map.string(), config);
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

void ReadAddedTokensOfPipeline(const std::filesystem::path& directory, TokenizerConfig& config) {
  const std::filesystem::path file = directory / "tokenizer.json";
  if (config.object().Has("added_tokens_decoder") || !Exists(file)) return;
  const Json json = ReadJsonFile(file, kMaxPipelineBytes);
  const JsonObject object(json, file.string());
  if (!object.Has("added_tokens")) return;
  for (const JsonObject& entry : object.GetObjects("added_tokens")) {
    config.added_tokens.push_back(ParseAddedToken(entry, entry.GetInt("id", 0, kMaxTokenId)));
  }
}

}  // namespace moefy::text
