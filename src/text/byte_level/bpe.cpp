#include "text/byte_level/bpe.h"

#include <algorithm>

#include "base/utf8.h"
#include "moefy/base/error.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

constexpr int64_t kUnknown = -1;

uint64_t PairKey(int64_t left, int64_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

std::string ByteToken(unsigned char byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return StrCat("<0x", kDigits[byte >> 4], kDigits[byte & 15], ">");
}

std::optional<unsigned char> ParseByteToken(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  unsigned value = 0;
  for (const char c : token.substr(3, 2)) {
    if (c >= '0' && c <= '9') {
      value = value * 16 + static_cast<unsigned>(c - '0');
    } else if (c >= 'A' && c <= 'F') {
      value = value * 16 + static_cast<unsigned>(c - 'A' + 10);
    } else {
      return std::nullopt;
    }
  }
  return static_cast<unsigned char>(value);
}

Bpe::Bpe(std::shared_ptr<const Vocabulary> vocabulary, const Merges& merges, BpeOptions options)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
  const auto find = [&](size_t merge, const std::string& token) {
    const std::optional<int64_t> id = vocabulary_->Find(token);
    if (!id) {
      throw InputError("merge ", merge + 1, ", ", Quoted(merges[merge].first), " with ",
                       Quoted(merges[merge].second), ": ", Quoted(token),
                       " is not in the vocabulary");
    }
    return *id;
  };
  const std::string& prefix = options_.continuing_prefix;
  merges_.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto& [left, right] = merges[i];
    if (!right.starts_with(prefix)) {
      throw InputError("merge ", i + 1, ": ", Quoted(right), " does not begin with ",
                       Quoted(prefix));
    }
    const int64_t left_id = find(i, left), right_id = find(i, right);
    const int64_t merged_id = find(i, left + right.substr(prefix.size()));
    // If a merge is listed twice, the last one counts.
    merges_[PairKey(left_id, right_id)] = {static_cast<double>(i), merged_id};
  }
  if (options_.byte_fallback) {
    for (size_t byte = 0; byte < byte_ids_.size(); ++byte) {
      byte_ids_[byte] = vocabulary_->Find(ByteToken(static_cast<unsigned char>(byte)));
    }
  }
}

std::vector<BpeSymbol> Bpe::Characters(std::string_view word) const {
  std::vector<BpeSymbol> symbols;
  for (size_t begin = 0, end; begin < word.size(); begin = end) {
    end = begin + CharacterLength(word.substr(begin));
    const std::string_view character = word.substr(begin, end - begin);
    std::string token = begin > 0 ? options_.continuing_prefix : "";
    token += character;
    if (end == word.size()) token += options_.end_of_word_suffix;
    if (const std::optional<int64_t> id = vocabulary_->Find(token)) {
      symbols.push_back({*id, begin, end});
      continue;
    }
    const auto byte_id = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
    if (options_.byte_fallback && std::all_of(character.begin(), character.end(), byte_id)) {
      for (size_t i = begin; i < end; ++i) symbols.push_back({*byte_id(word[i]), i, i + 1});
    } else if (options_.unknown_id) {
      if (options_.fuse_unknown && !symbols.empty() && symbols.back().id == kUnknown) {
        symbols.back().end = end;
      } else {
        symbols.push_back({kUnknown, begin, end});
      }
    }
  }
  return symbols;
}

void Bpe::AppendIds(std::string_view word, std::vector<int64_t>& ids) const {
  if (options_.ignore_merges) {
    if (const std::optional<int64_t> id = vocabulary_->Find(word)) {
      ids.push_back(*id);
      return;
    }
  }
  std::vector<BpeSymbol> symbols = Characters(word);
  MergeSymbols(symbols,
               [&](const BpeSymbol& left, const BpeSymbol& right) -> std::optional<BpeMerge> {
                 if (left.id == kUnknown || right.id == kUnknown) return std::nullopt;
                 const auto found = merges_.find(PairKey(left.id, right.id));
                 if (found == merges_.end()) return std::nullopt;
                 return found->second;
               });
  for (const BpeSymbol& symbol : symbols) {
    ids.push_back(symbol.id == kUnknown ? *options_.unknown_id : symbol.id);
  }
}

Bpe::Merges ParseMerges(std::string_view text) {
  RequireUtf8(text);
  Bpe::Merges merges;
  size_t line = 0;
  for (std::string& row : Split(text, '\n')) {
    ++line;
    if (row.ends_with('\r')) row.pop_back();
    if (row.empty() || (line == 1 && row.starts_with("#version"))) continue;
    const size_t space = row.find(' ');
    if (space == 0 || space == std::string::npos || space + 1 == row.size() ||
        row.find(' ', space + 1) != std::string::npos) {
      throw InputError("line ", line, " is ", Quoted(row), "; expected two tokens and a space");
    }
    merges.emplace_back(row.substr(0, space), row.substr(space + 1));
  }
  return merges;
}

}  // namespace moefy::text
