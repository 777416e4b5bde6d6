// tokenizer_config.json and its neighbours added_tokens.json and special_tokens_map.json. Keys that
// do not change the ids are ignored: the file belongs to other programs. Values, thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/text/tokenizer.h"
#include "text/added_tokens.h"

namespace moefy::text {

inline constexpr int64_t kMaxTokenId = (int64_t{1} << 31) - 1;

struct TokenizerConfig {
  std::filesystem::path file;  // for messages, whether or not it is there
  Json json = Json::object();
  std::string model_type;        // config.json's, "" when absent
  int64_t model_vocab_size = 0;  // config.json's, 0 when absent: what the embedding has
  // added_tokens_decoder; or else added_tokens.json, and tokenizer.json's, which go first.
  std::vector<AddedToken> added_tokens;
  Languages languages;  // as chosen by the caller

  JsonObject object() const { return JsonObject(json, file.string()); }
  // "tokenizer_class" without the suffix "Fast", old spellings and names of the same thing
  // replaced; where it is absent, the one that config.json's model_type goes with; "" where that
  // tells nothing either.
  std::string ClassName() const;
  // "eos_token" and the like: a string, or an object with "content".
  std::string GetToken(const std::string& key, const std::string& if_absent) const;
  // The same with its flags; `strip_left` where it is only a string; no content where it is null.
  // The id is not set.
  AddedToken GetAddedToken(const std::string& key, const std::string& if_absent,
                           bool strip_left = false) const;
  // "additional_special_tokens" and "extra_special_tokens", a list or an object; empty when absent.
  std::vector<std::string> GetAdditionalSpecialTokens() const;
};

// An absent file means defaults. Throws Error{kInput}.
TokenizerConfig ReadTokenizerConfig(const std::filesystem::path& directory);

inline constexpr uint64_t kMaxPipelineBytes = uint64_t{256} << 20;  // of tokenizer.json

// Where tokenizer_config.json does not list the added tokens but a tokenizer.json is there, its
// list counts for the other tokenizers as well.
void ReadAddedTokensOfPipeline(const std::filesystem::path& directory, TokenizerConfig& config);

}  // namespace moefy::text
