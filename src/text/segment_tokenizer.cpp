#include "text/segment_tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "moefy/base/error.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

void Drop(std::vector<int64_t>& ids, size_t num_kept, bool left) {
  if (ids.size() <= num_kept) return;
  if (left) ids.erase(ids.begin(), ids.end() - static_cast<ptrdiff_t>(num_kept));
  ids.resize(num_kept);
}

void Truncate(std::vector<int64_t>& first, std::vector<int64_t>* second, int64_t num_special,
              const EncodeOptions& options, bool left) {
  if (options.max_tokens <= 0) return;
  int64_t limit = options.max_tokens - num_special;
  if (limit < 0) {
    throw UsageError("at most ", options.max_tokens, " tokens cannot hold the ", num_special,
                     " special ones");
  }
  if (second && options.truncation == Truncation::kOnlySecond) {
    limit -= static_cast<int64_t>(first.size());
    if (limit < 0) {
      throw UsageError("at most ", options.max_tokens, " tokens cannot hold the first segment of ",
                       first.size(), " and ", num_special, " special ones");
    }
    Drop(*second, static_cast<size_t>(limit), left);
    return;
  }
  size_t num_first = first.size(), num_second = second ? second->size() : 0;
  while (static_cast<int64_t>(num_first + num_second) > limit) {
    --(!second || num_first > num_second ? num_first : num_second);
  }
  Drop(first, num_first, left);
  if (second) Drop(*second, num_second, left);
}

}  // namespace

std::string CleanUpSpaces(std::string text) {
  constexpr std::array<std::pair<const char*, const char*>, 10> kReplacements = {{{" .", "."},
                                                                                  {" ?", "?"},
                                                                                  {" !", "!"},
                                                                                  {" ,", ","},
                                                                                  {" ' ", "'"},
                                                                                  {" n't", "n't"},
                                                                                  {" 'm", "'m"},
                                                                                  {" 's", "'s"},
                                                                                  {" 've", "'ve"},
                                                                                  {" 're", "'re"}}};
  for (const auto& [from, to] : kReplacements) text = ReplaceAll(std::move(text), from, to);
  return text;
}

void SegmentTokenizer::AddSpecialToken(const std::string& content, std::optional<int64_t> base_id) {
  if (const AddedToken* known = added_.FindContent(content)) {
    // Files list tokens as added without saying that they are special.
    AddedToken token = *known;
    token.special = true;
    added_.Add(std::move(token));
    return;
  }
  AddToken({.content = content, .id = base_id.value_or(vocab_size_)});
}

void SegmentTokenizer::AddToken(AddedToken token) {
  vocab_size_ = std::max(vocab_size_, token.id + 1);
  added_.Add(std::move(token));
}

SegmentTokenizer::SegmentTokenizer(const TokenizerConfig& config)
    : model_vocab_size_(config.model_vocab_size) {
  const JsonObject object = config.object();
  const std::string side = object.GetString("truncation_side", "right");
  if (side != "right" && side != "left") {
    throw InputError(object.PathOf("truncation_side"), " is ", Quoted(side),
                     "; expected 'right' or 'left'");
  }
  truncate_left_ = side == "left";
  if (object.GetBool("split_special_tokens", false)) {
    throw InputError(object.PathOf("split_special_tokens"), ": true is not supported");
  }
}

void SegmentTokenizer::SetLanguages(const TokenizerConfig& config,
                                    const LanguageSet::FindToken& find) {
  const LanguageConvention* convention = FindLanguageConvention(config);
  if (!convention) return;
  LanguageSet languages(*convention, config, find);
  if (languages.empty()) return;
  if (!eos_id_) throw InputError("eos_token is missing, which translation needs");
  template_ = languages.Source(*eos_id_);
  languages_ = std::move(languages);
}

// Tokens are often added to a tokenizer and not to the model. That does no harm until one is used.
Encoding SegmentTokenizer::Filled(const std::vector<TemplateItem>& items, const Ids& first,
                                  const Ids* second) const {
  Encoding encoding = Fill(items, first, second);
  for (const int64_t id : encoding.ids) {
    if (model_vocab_size_ == 0 || id < model_vocab_size_) continue;
    const AddedToken* added = added_.FindId(id);
    throw InputError("token ", Quoted(added ? added->content : IdToToken(id)), " has id ", id,
                     ", but the model's vocab_size is ", model_vocab_size_,
                     ": its embedding has no row for this token");
  }
  return encoding;
}

// Padding is masked: if the model has no row for its token, any other token will do.
int64_t SegmentTokenizer::pad_id() const {
  const bool known = model_vocab_size_ == 0 || pad_id_ < model_vocab_size_;
  return known ? pad_id_ : eos_id_.value_or(0);
}

Encoding SegmentTokenizer::Encode(std::string_view text, const EncodeOptions& options) const {
  Ids ids = Segment(RepairUtf8(text));
  const bool around = options.add_special_tokens;
  Truncate(ids, nullptr, around ? NumTokens(template_.single) : 0, options, truncate_left_);
  return Filled(around ? template_.single : TokenTemplate().single, ids, nullptr);
}

Encoding SegmentTokenizer::EncodePair(std::string_view first, std::string_view second,
                                      const EncodeOptions& options) const {
  Ids ids = Segment(RepairUtf8(first));
  Ids second_ids = Segment(RepairUtf8(second));
  const bool around = options.add_special_tokens;
  Truncate(ids, &second_ids, around ? NumTokens(template_.pair) : 0, options, truncate_left_);
  TokenTemplate plain;
  plain.pair[1].type = second_type_;
  return Filled(around ? template_.pair : plain.pair, ids, &second_ids);
}

Encoding SegmentTokenizer::EncodeTarget(std::string_view text, const EncodeOptions& options) const {
  const std::vector<TemplateItem> items = languages_ ? languages_->Target(options, *eos_id_)
                                          : options.add_special_tokens ? template_.single
                                                                       : TokenTemplate().single;
  Ids ids = SegmentTarget(RepairUtf8(text));
  Truncate(ids, nullptr, NumTokens(items), options, truncate_left_);
  return Filled(items, ids, nullptr);
}

void SegmentTokenizer::BeginTarget(TargetStart& start) const {
  if (languages_) languages_->Begin(start);
}

std::vector<std::string> SegmentTokenizer::LanguageCodes() const {
  return languages_ ? languages_->Codes() : std::vector<std::string>();
}

std::string SegmentTokenizer::Decode(const std::vector<int64_t>& ids,
                                     bool skip_special_tokens) const {
  std::vector<std::string> texts, tokens;  // `tokens` wait to be joined into the next text
  for (int64_t id : ids) {
    if (id < 0 || id >= vocab_size_) {
      throw InputError("token id ", id, " is not in 0..", vocab_size_ - 1);
    }
    const AddedToken* added = added_.FindId(id);
    if (!added && id >= base_vocab_size_) throw InputError("token id ", id, " has no token");
    if (skip_special_tokens && added && added->special) continue;
    const std::string token = added ? added->content : IdToToken(id);
    // JoinTokens takes care of the vocabulary's own special tokens.
    if (!added || added_join_ == AddedTokenJoin::kTogether ||
        (added->special && (id < base_vocab_size_ || joined_ids_.contains(id)))) {
      tokens.push_back(token);
      continue;
    }
    if (!tokens.empty()) {
      if (std::string text = JoinTokens(tokens); !text.empty()) texts.push_back(std::move(text));
      tokens.clear();
    }
    texts.push_back(token);
  }
  if (!tokens.empty()) texts.push_back(JoinTokens(tokens));
  std::string text = Join(texts, added_join_ == AddedTokenJoin::kSpaces ? " " : "");
  return skip_special_tokens && clean_up_spaces_ ? CleanUpSpaces(std::move(text)) : text;
}

}  // namespace moefy::text
