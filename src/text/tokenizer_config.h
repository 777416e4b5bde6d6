// tokenizer_config.json and its neighbours added_tokens.json and special_tokens_map.json. Keys that
// do not change the ids are ignored: the file belongs to other programs. Values, thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/text/tokenizer.h"
#include "text/added_tokens.h"

namespace moefy::text {

inline constexpr int64_t kMaxTokenId = (int64_t{1} << 31) - 1;

struct TokenizerConfig {
  std::filesystem::path file;  // for messages; it need not be there
  Json json = Json::object();
  std::string model_type;        // config.json's; "" if it is absent
  int64_t model_vocab_size = 0;  // config.json's, the rows of the embedding; 0 if it is absent
  // The tokens of added_tokens_decoder or, if there is none, first those of tokenizer.json and then
  // those of added_tokens.json.
  std::vector<AddedToken> added_tokens;
  Languages languages;  // which the caller has chosen

  JsonObject object() const { return JsonObject(json, file.string()); }
  // "tokenizer_class" without the suffix "Fast", in today's spelling. If it is absent, the class
  // that config.json's model_type goes with; "" if that tells nothing either.
  std::string ClassName() const;
  // "eos_token" and the like: a string, or an object with "content".
  std::string GetToken(const std::string& key, const std::string& if_absent) const;
  // The same token with its flags. A plain string has the flag `strip_left` as given; null has no
  // content. The id is not set.
  AddedToken GetAddedToken(const std::string& key, const std::string& if_absent,
                           bool strip_left = false) const;
  // "additional_special_tokens" and "extra_special_tokens", each a list or an object; none if
  // absent.
  std::vector<std::string> GetAdditionalSpecialTokens() const;
};

// Reads the files of `directory`; an absent file means defaults. `model_config` is the text of its
// config.json, "" if there is none. Throws Error{kInput}.
TokenizerConfig ReadTokenizerConfig(const std::filesystem::path& directory,
                                    const std::string& model_config);

inline constexpr uint64_t kMaxPipelineBytes = uint64_t{256} << 20;  // of tokenizer.json

// Reads the list of added tokens from tokenizer.json if tokenizer_config.json has none: it counts
// for the other tokenizers as well.
void ReadAddedTokensOfPipeline(const std::filesystem::path& directory, TokenizerConfig& config);

}  // namespace moefy::text
