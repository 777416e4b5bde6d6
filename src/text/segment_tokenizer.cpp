#include "text/segment_tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "moefy/base/error.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

void Truncate(std::vector<int64_t>& first, std::vector<int64_t>* second, int64_t num_special,
              const EncodeOptions& options) {
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
    second->resize(std::min(second->size(), static_cast<size_t>(limit)));
    return;
  }
  while (static_cast<int64_t>(first.size() + (second ? second->size() : 0)) > limit) {
    (!second || first.size() > second->size() ? first : *second).pop_back();
  }
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
  if (added_.FindContent(content)) return;
  AddToken({.content = content, .id = base_id.value_or(vocab_size_)});
}

void SegmentTokenizer::AddToken(AddedToken token) {
  vocab_size_ = std::max(vocab_size_, token.id + 1);
  added_.Add(std::move(token));
}

Encoding SegmentTokenizer::Encode(std::string_view text, const EncodeOptions& options) const {
  Ids ids = Segment(RepairUtf8(text));
  Truncate(ids, nullptr, options.add_special_tokens ? NumTokens(template_.single) : 0, options);
  if (options.add_special_tokens) return Fill(template_.single, ids, nullptr);
  std::vector<int64_t> types(ids.size(), 0);
  return {std::move(ids), std::move(types)};
}

Encoding SegmentTokenizer::EncodePair(std::string_view first, std::string_view second,
                                      const EncodeOptions& options) const {
  Ids ids = Segment(RepairUtf8(first));
  Ids second_ids = Segment(RepairUtf8(second));
  Truncate(ids, &second_ids, options.add_special_tokens ? NumTokens(template_.pair) : 0, options);
  if (options.add_special_tokens) return Fill(template_.pair, ids, &second_ids);
  std::vector<int64_t> types(ids.size(), 0);
  types.resize(ids.size() + second_ids.size(), second_type_);
  ids.insert(ids.end(), second_ids.begin(), second_ids.end());
  return {std::move(ids), std::move(types)};
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
    // The vocabulary's own special tokens are the joining's business.
    if (!added || added_join_ == AddedTokenJoin::kTogether ||
        (added->special && id < base_vocab_size_)) {
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
