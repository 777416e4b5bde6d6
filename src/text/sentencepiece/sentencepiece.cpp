#include "text/sentencepiece/sentencepiece.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "moefy/base/error.h"
#include "text/byte_level/bpe.h"
#include "text/byte_level/bpe_merge.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

// An unknown character scores so much worse than the worst piece.
constexpr float kUnknownPenalty = 10.0f;

// What a symbol is while merges go on.
constexpr int64_t kFrozen = -1;  // the symbol is a user-defined piece, which nothing merges with
constexpr int64_t kAny = 0;

}  // namespace

SentencePiece::SentencePiece(SentencePieceModel model)
    : model_(std::move(model)), charsmap_(model_.precompiled_charsmap) {
  std::vector<std::pair<std::string_view, int32_t>> usable;
  float min_score = std::numeric_limits<float>::max();
  max_score_ = std::numeric_limits<float>::min();  // tiny and positive, as in the reference
  for (size_t i = 0; i < model_.pieces.size(); ++i) {
    const Piece& piece = model_.pieces[i];
    const auto id = static_cast<int32_t>(i);
    switch (piece.type) {
      case PieceType::kUnknown:
        unknown_id_ = id;
        [[fallthrough]];
      case PieceType::kControl:
      case PieceType::kByte:
        reserved_.emplace(piece.text, id);
        continue;
      case PieceType::kUserDefined:
        has_user_defined_ = true;
        break;
      case PieceType::kNormal:
        min_score = std::min(min_score, piece.score);
        max_score_ = std::max(max_score_, piece.score);
        break;
      default:
        break;
    }
    ids_.emplace(piece.text, id);
    usable.emplace_back(piece.text, id);
    max_piece_bytes_ = std::max(max_piece_bytes_, piece.text.size());
  }
  unknown_score_ = min_score - kUnknownPenalty;
  trie_ = PieceTrie(std::move(usable));
}

int64_t SentencePiece::PieceToId(std::string_view piece) const {
  if (const auto found = reserved_.find(piece); found != reserved_.end()) return found->second;
  if (const auto found = ids_.find(piece); found != ids_.end()) return found->second;
  return unknown_id_;
}

bool SentencePiece::HasPiece(std::string_view piece) const {
  return reserved_.contains(piece) || ids_.contains(piece);
}

size_t SentencePiece::UserDefinedPrefix(std::string_view text) const {
  size_t length = 0;
  if (!has_user_defined_) return length;
  trie_.ForEachPrefix(text, [&](size_t prefix_length, int32_t id) {
    if (model_.pieces[id].type == PieceType::kUserDefined) length = prefix_length;
  });
  return length;
}

Charsmap::Match SentencePiece::NormalizePrefix(std::string_view text) const {
  if (const size_t length = UserDefinedPrefix(text);
      length > 0) {  // such pieces are never normalised
    return {text.substr(0, length), length};
  }
  if (const Charsmap::Match match = charsmap_.FindPrefix(text); match.num_bytes > 0) return match;
  const size_t length = CharacterLength(text);
  return {text.substr(0, length), length};
}

std::string SentencePiece::Normalize(std::string_view text) const {
  const bool squeeze = model_.remove_extra_whitespaces;
  const std::string_view space = model_.escape_whitespaces ? kSpaceSymbol : " ";
  std::string out;
  if (squeeze) {
    while (!text.empty()) {
      const Charsmap::Match match = NormalizePrefix(text);
      if (match.replacement != " ") break;
      text.remove_prefix(match.num_bytes);
    }
  }
  if (text.empty()) return out;
  if (model_.add_dummy_prefix) out += space;
  bool after_space = squeeze;
  while (!text.empty()) {
    const Charsmap::Match match = NormalizePrefix(text);
    std::string_view piece = match.replacement;
    while (after_space && piece.starts_with(' ')) piece.remove_prefix(1);
    if (!piece.empty()) {
      for (char c : piece) {
        if (c == ' ') {
          out += space;
        } else {
          out += c;
        }
      }
      after_space = piece.ends_with(' ');
    }
    text.remove_prefix(match.num_bytes);
    if (!squeeze) after_space = false;
  }
  if (squeeze) {
    while (out.ends_with(space)) out.resize(out.size() - space.size());
  }
  return out;
}

std::vector<SentencePiece::Span> SentencePiece::SplitUnigram(std::string_view normalized) const {
  // The best way to reach each byte position. Scores are added as the reference adds them (sums
  // kept in float, compared in double), or ties would fall differently.
  struct Step {
    int64_t id = 0;
    float score = 0;
    std::optional<size_t> begin;
  };
  std::vector<Step> best(normalized.size() + 1);
  const auto offer = [&](size_t begin, size_t end, int64_t id, double total) {
    Step& step = best[end];
    if (step.begin && total <= static_cast<double>(step.score)) return;
    step = {id, static_cast<float>(total), begin};
  };
  for (size_t begin = 0; begin < normalized.size();) {
    const std::string_view rest = normalized.substr(begin);
    const size_t character = CharacterLength(rest);
    const float here = best[begin].score;
    bool has_character = false;
    trie_.ForEachPrefix(rest, [&](size_t length, int32_t id) {
      const Piece& piece = model_.pieces[id];
      if (piece.type == PieceType::kUnused) return;
      const double score = piece.type == PieceType::kUserDefined
                               ? static_cast<double>(static_cast<float>(length) * max_score_) - 0.1
                               : static_cast<double>(piece.score);
      offer(begin, begin + length, id, score + static_cast<double>(here));
      has_character = has_character || length == character;
    });
    if (!has_character) {
      offer(begin, begin + character, unknown_id_, static_cast<double>(unknown_score_ + here));
    }
    begin += character;
  }

  std::vector<Span> spans;
  for (size_t end = normalized.size(); end > 0; end = *best[end].begin) {
    spans.push_back({*best[end].begin, end, best[end].id == unknown_id_});
  }
  std::reverse(spans.begin(), spans.end());
  return spans;
}

std::vector<SentencePiece::Span> SentencePiece::SplitBpe(std::string_view normalized) const {
  std::vector<BpeSymbol> symbols;
  for (size_t begin = 0; begin < normalized.size(); begin = symbols.back().end) {
    const std::string_view rest = normalized.substr(begin);
    const size_t fixed = UserDefinedPrefix(rest);
    symbols.push_back(
        {fixed > 0 ? kFrozen : kAny, begin, begin + (fixed > 0 ? fixed : CharacterLength(rest))});
  }

  // Tells how to take unused pieces apart: they help merging and are undone in the end.
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

std::vector<std::string> SentencePiece::EncodeAsPieces(std::string_view text) const {
  const std::string normalized = Normalize(text);
  std::vector<std::string> pieces;
  bool after_unknown = false;
  for (const Span& span : model_.algorithm == SentencePieceAlgorithm::kBpe
                              ? SplitBpe(normalized)
                              : SplitUnigram(normalized)) {
    std::string piece = normalized.substr(span.begin, span.end - span.begin);
    if (span.unknown && model_.byte_fallback) {
      for (const char byte : piece) pieces.push_back(ByteToken(static_cast<unsigned char>(byte)));
    } else if (span.unknown && after_unknown) {
      pieces.back() += piece;
    } else {
      pieces.push_back(std::move(piece));
    }
    after_unknown = span.unknown;
  }
  return pieces;
}

std::string SentencePiece::DecodePieces(const std::vector<std::string>& pieces) const {
  std::string text, bytes;  // `bytes` is what byte pieces in a row stand for
  const auto finish_bytes = [&] {
    text += RepairUtf8(bytes, ReplaceInvalid::kEveryByte);
    bytes.clear();
  };
  bool at_start = true, consumed_space = false;
  for (std::string_view piece : pieces) {
    const int64_t id = PieceToId(piece);
    const PieceType type = model_.pieces[id].type;
    if (type == PieceType::kByte) {
      bytes += static_cast<char>(*ParseByteToken(piece));
      continue;
    }
    finish_bytes();
    if (consumed_space || !text.empty()) at_start = false;
    consumed_space = false;
    if (type == PieceType::kControl) continue;
    if (type == PieceType::kUnknown) {
      text += piece == IdToPiece(id) ? std::string_view(model_.unknown_surface) : piece;
      continue;
    }
    if (at_start && (model_.add_dummy_prefix || model_.remove_extra_whitespaces) &&
        piece.starts_with(kSpaceSymbol)) {
      piece.remove_prefix(kSpaceSymbol.size());
      // If white space is squeezed, every leading space goes, not only the first.
      consumed_space = !model_.remove_extra_whitespaces;
    }
    text += ReplaceAll(std::string(piece), kSpaceSymbol, " ");
  }
  finish_bytes();
  return text;
}

}  // namespace moefy::text
