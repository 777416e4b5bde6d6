// What all tokenizers share, whatever their vocabulary: repair of the text, truncation, special
// tokens around it, and decoding, as PreTrainedTokenizer of transformers 4.44 does them.
// Thread-safety: as Tokenizer.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "moefy/text/tokenizer.h"
#include "text/added_tokens.h"
#include "text/languages.h"
#include "text/token_template.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

// Undoes the spaces that joining tokens by spaces puts before English punctuation.
std::string CleanUpSpaces(std::string text);

class SegmentTokenizer : public Tokenizer {
 public:
  Encoding Encode(std::string_view text, const EncodeOptions& options) const final;
  Encoding EncodePair(std::string_view first, std::string_view second,
                      const EncodeOptions& options) const final;
  Encoding EncodeTarget(std::string_view text, const EncodeOptions& options) const final;
  std::string Decode(const std::vector<int64_t>& ids, bool skip_special_tokens) const final;
  void BeginTarget(TargetStart& start) const final;
  std::vector<std::string> LanguageCodes() const override;
  int64_t vocab_size() const final { return vocab_size_; }
  int64_t pad_id() const final;
  std::optional<int64_t> eos_id() const final { return eos_id_; }
  std::optional<int64_t> mask_id() const final { return mask_id_; }

 protected:
  using Ids = std::vector<int64_t>;

  // Reads what all classes have in common: truncation_side, split_special_tokens, and how many
  // tokens the model has.
  explicit SegmentTokenizer(const TokenizerConfig& config);

  // The ids of a text in valid UTF-8, without tokens around it.
  virtual Ids Segment(std::string_view text) const = 0;
  // Segments what the model writes, which some tokenizers cut in another way.
  virtual Ids SegmentTarget(std::string_view text) const { return Segment(text); }
  // The token of an id in the vocabulary proper, 0 <= id < base_vocab_size_.
  virtual std::string IdToToken(int64_t id) const = 0;
  // Tokens to text: joins word pieces; special tokens may be among them.
  virtual std::string JoinTokens(const std::vector<std::string>& tokens) const = 0;

  // Adds a special token at its id in the base vocabulary or, if it has none, at the end of the
  // vocabulary. A token that was added before becomes special.
  void AddSpecialToken(const std::string& content, std::optional<int64_t> base_id);
  void AddToken(AddedToken token);

  // Takes the languages whose tokens have been added, if there are any; eos_id_ must be set.
  void SetLanguages(const TokenizerConfig& config, const LanguageSet::FindToken& find);

  AddedTokens added_;
  TokenTemplate template_;
  int64_t base_vocab_size_ = 0;
  int64_t vocab_size_ = 0;
  int64_t pad_id_ = 0;
  std::optional<int64_t> eos_id_;
  std::optional<int64_t> mask_id_;
  int64_t second_type_ = 0;  // the token type of a second segment
  bool clean_up_spaces_ = true;
  // How decoding treats added tokens: they stand apart from what JoinTokens makes of the tokens
  // between them, with spaces or without spaces; or JoinTokens gets them as well.
  enum class AddedTokenJoin { kSpaces, kNoSpaces, kTogether };
  AddedTokenJoin added_join_ = AddedTokenJoin::kSpaces;
  // Special tokens that joining takes care of though their ids are above the base vocabulary.
  std::set<int64_t> joined_ids_;
  std::optional<LanguageSet> languages_;
  bool truncate_left_ = false;

 private:
  Encoding Filled(const std::vector<TemplateItem>& items, const Ids& first,
                  const Ids* second) const;

  int64_t model_vocab_size_;  // 0 if it is not known
};

}  // namespace moefy::text
