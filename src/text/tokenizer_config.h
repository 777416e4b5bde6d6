// tokenizer_config.json and its neighbour added_tokens.json. Keys that do not change the ids are
// ignored: the file belongs to other programs. Values, thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "text/added_tokens.h"

namespace moefy::text {

struct TokenizerConfig {
  std::filesystem::path file;  // for messages, whether or not it is there
  Json json = Json::object();
  std::vector<AddedToken> added_tokens;  // added_tokens_decoder, or else added_tokens.json

  JsonObject object() const { return JsonObject(json, file.string()); }
  // "eos_token" and the like: a string, or an object with "content".
  std::string GetToken(const std::string& key, const std::string& if_absent) const;
  // "additional_special_tokens"; empty when absent.
  std::vector<std::string> GetAdditionalSpecialTokens() const;
};

// An absent file means defaults. Throws Error{kInput}.
TokenizerConfig ReadTokenizerConfig(const std::filesystem::path& directory);

}  // namespace moefy::text
