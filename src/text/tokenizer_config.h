// tokenizer_config.json and its neighbours added_tokens.json and special_tokens_map.json. Keys that
// do not change the ids are ignored: the file belongs to other programs. Values, thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "text/added_tokens.h"

namespace moefy::text {

inline constexpr int64_t kMaxTokenId = (int64_t{1} << 31) - 1;

struct TokenizerConfig {
  std::filesystem::path file;  // for messages, whether or not it is there
  Json json = Json::object();
  std::string model_type;                // config.json's, "" when absent
  std::vector<AddedToken> added_tokens;  // added_tokens_decoder, or else added_tokens.json

  JsonObject object() const { return JsonObject(json, file.string()); }
  // "tokenizer_class" without the suffix "Fast"; where it is absent, the one that config.json's
  // model_type goes with; "" where that tells nothing either.
  std::string ClassName() const;
  // "eos_token" and the like: a string, or an object with "content".
  std::string GetToken(const std::string& key, const std::string& if_absent) const;
  // "additional_special_tokens"; empty when absent.
  std::vector<std::string> GetAdditionalSpecialTokens() const;
};

// An absent file means defaults. Throws Error{kInput}.
TokenizerConfig ReadTokenizerConfig(const std::filesystem::path& directory);

}  // namespace moefy::text
