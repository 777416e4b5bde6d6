// The languages of translation models: the tokens that stand for them, where these tokens go, and
// which two languages were chosen. Equal to M2M100Tokenizer, NllbTokenizer, MBartTokenizer and
// MBart50Tokenizer of transformers 4.44. Thread-safety: values.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moefy/base/error.h"
#include "moefy/text/tokenizer.h"
#include "text/token_template.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

// How a class of tokenizers marks languages.
struct LanguageConvention {
  std::string_view tokenizer_class;
  std::string_view codes;           // in the order of their ids, separated by spaces
  std::string_view mark = "";       // before and after a code in its token
  std::string_view default_source;  // the class's own
  bool source_last = false;         // "A </s> en", not "en A </s>"
  bool starts_decoder = false;      // the target's token is the decoder's first input, not output

  std::string Token(std::string_view code) const { return StrCat(mark, code, mark); }
  std::vector<std::string> Codes() const;
};

// The convention of the configuration's class; null if that has none.
const LanguageConvention* FindLanguageConvention(const TokenizerConfig& config);

class LanguageSet {
 public:
  using FindToken = std::function<std::optional<int64_t>(const std::string& token)>;

  // The languages whose tokens `find` knows: the convention's, and those that the configuration
  // adds. Throws Error{kUsage} for a chosen language that is not among them, Error{kInput} for one
  // that the configuration names.
  LanguageSet(const LanguageConvention& convention, const TokenizerConfig& config,
              const FindToken& find);

  bool empty() const { return ids_.empty(); }
  std::vector<std::string> Codes() const;
  TokenTemplate Source(int64_t eos_id) const;

  std::vector<TemplateItem> Target(const EncodeOptions& options, int64_t eos_id) const;
  void Begin(TargetStart& start) const;

 private:
  std::optional<int64_t> Choose(const std::string& option, const std::string& chosen,
                                const std::string& key, const TokenizerConfig& config) const;
  int64_t RequireTarget() const;

  std::vector<std::pair<std::string, int64_t>> ids_;  // by code
  bool source_last_ = false, starts_decoder_ = false;
  std::optional<int64_t> source_id_, target_id_;
  bool target_is_chosen_ = false;  // by the caller, not only by the configuration
};

// For messages: "'fr' is not one of its languages (did you mean 'fra_Latn'?): ..."
std::string NotALanguage(const std::string& code, const std::vector<std::string>& codes);
// The error "target-language is missing: ...".
Error MissingLanguage(const std::string& option, const std::vector<std::string>& codes);

}  // namespace moefy::text
