#include <unordered_map>
#include <utility>

#include "text/byte_level/bpe_merge.h"
#include "text/sentencepiece/sentencepiece.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

constexpr int64_t kFrozen = -1;  // a user-defined piece, which nothing merges with
constexpr int64_t kAny = 0;

}  // namespace

std::vector<SentencePiece::Span> SentencePiece::SplitBpe(std::string_view normalized) const {
  std::vector<BpeSymbol> symbols;
  for (size_t begin = 0; begin < normalized.size(); begin = symbols.back().end) {
    const std::string_view rest = normalized.substr(begin);
    const size_t fixed = UserDefinedPrefix(rest);
    symbols.push_back(
        {fixed > 0 ? kFrozen : kAny, begin, begin + (fixed > 0 ? fixed : CharacterLength(rest))});
  }

  // Unused pieces help merging, and are taken apart again in the end: here is how.
  std::unordered_map<std::string_view, size_t> unused_split;
  const auto slice = [&](size_t begin, size_t end) {
    return normalized.substr(begin, end - begin);
  };
  MergeSymbols(symbols,
               [&](const BpeSymbol& left, const BpeSymbol& right) -> std::optional<BpeMerge> {
                 if (left.id == kFrozen || right.id == kFrozen) return std::nullopt;
                 if (right.end - left.begin > max_piece_bytes_) return std::nullopt;
                 const std::string_view merged = slice(left.begin, right.end);
                 const auto found = ids_.find(merged);
                 if (found == ids_.end()) return std::nullopt;
                 const Piece& piece = model_.pieces[found->second];
                 if (piece.type == PieceType::kUnused) {
                   unused_split[merged] = left.end - left.begin;
                 }
                 return BpeMerge{-static_cast<double>(piece.score), kAny};
               });

  std::vector<Span> spans;
  std::vector<std::pair<size_t, size_t>> open;  // what is left to take apart, the leftmost last
  for (const BpeSymbol& symbol : symbols) {
    open = {{symbol.begin, symbol.end}};
    while (!open.empty()) {
      const auto [begin, end] = open.back();
      open.pop_back();
      if (const auto split = unused_split.find(slice(begin, end)); split != unused_split.end()) {
        open.emplace_back(begin + split->second, end);
        open.emplace_back(begin, begin + split->second);
      } else {
        spans.push_back({begin, end, PieceToId(slice(begin, end)) == unknown_id_});
      }
    }
  }
  return spans;
}

}  // namespace moefy::text
