#include "text/sentencepiece/charsmap.h"

#include "moefy/base/error.h"

namespace moefy::text {
namespace {

uint32_t ReadUint32(std::string_view bytes) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// The fields of a darts-clone unit.
bool HasLeaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t Value(uint32_t unit) { return unit & 0x7fffffffu; }
uint32_t Label(uint32_t unit) { return unit & 0x800000ffu; }
uint32_t Offset(uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }

}  // namespace

Charsmap::Charsmap(std::string_view blob) {
  if (blob.empty()) return;
  constexpr size_t kSizeBytes = 4, kUnitBytes = 4;
  if (blob.size() < kSizeBytes) throw InputError("the character map is cut short");
  const uint32_t trie_bytes = ReadUint32(blob);
  blob.remove_prefix(kSizeBytes);
  if (trie_bytes == 0 || trie_bytes % kUnitBytes != 0 || trie_bytes > blob.size()) {
    throw InputError("the character map's trie has ", trie_bytes, " bytes; expected a multiple of ",
                     kUnitBytes, " of at most ", blob.size());
  }
  units_.resize(trie_bytes / kUnitBytes);
  for (size_t i = 0; i < units_.size(); ++i) units_[i] = ReadUint32(blob.substr(i * kUnitBytes));
  replacements_ = blob.substr(trie_bytes);
  if (replacements_.empty() || replacements_.back() != '\0' || !IsValidUtf8(replacements_)) {
    throw InputError("the character map's replacements are not UTF-8 that ends with NUL");
  }
}

Charsmap::Match Charsmap::FindPrefix(std::string_view text) const {
  Match best;
  if (units_.empty()) return best;
  size_t at = Offset(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    if (at >= units_.size() || Label(units_[at]) != byte) break;
    const uint32_t unit = units_[at];
    at ^= Offset(unit);
    if (!HasLeaf(unit)) continue;
    if (at >= units_.size()) break;
    const size_t begin = Value(units_[at]);
    if (begin >= replacements_.size()) break;
    best.replacement = replacements_.data() + begin;  // ends at its NUL
    best.num_bytes = i + 1;
  }
  return best;
}

}  // namespace moefy::text
