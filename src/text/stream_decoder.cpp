#include "text/stream_decoder.h"

#include <algorithm>
#include <array>

namespace moefy::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD may be half a character
constexpr size_t kMaxPending = 64;                         // ids whose text may be held back

// Cuts off the end of `text` that later ids may change: incomplete characters, and beginnings of
// what CleanUpSpaces replaces.
std::string_view CertainPart(std::string_view text) {
  constexpr std::array<std::string_view, 6> kBeginnings = {" n'", " 'v", " 'r", " n", " '", " "};
  while (text.ends_with(kReplacement)) text.remove_suffix(kReplacement.size());
  const auto ends = [&](std::string_view beginning) { return text.ends_with(beginning); };
  for (auto found = kBeginnings.begin(); found != kBeginnings.end();) {
    found = std::find_if(kBeginnings.begin(), kBeginnings.end(), ends);
    if (found != kBeginnings.end()) text.remove_suffix(found->size());
  }
  return text;
}

}  // namespace

std::string StreamDecoder::Advance(std::string_view certain) {
  if (!certain.starts_with(shown_)) return "";
  std::string fresh(certain.substr(shown_.size()));
  shown_ = certain;
  return fresh;
}

// Returns what follows the part of the text that is out already.
std::string StreamDecoder::AdvanceAnyway(std::string_view text) {
  const auto [ours, theirs] = std::mismatch(text.begin(), text.end(), shown_.begin(), shown_.end());
  auto begin = static_cast<size_t>(ours - text.begin());
  while (begin > 0 && begin < text.size() &&
         (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) {
    --begin;  // not in the middle of a character
  }
  return std::string(text.substr(begin));
}

// If all text is out, keeps only the last ids: as many as have a text of their own, with which the
// text of the next ids can be compared.
void StreamDecoder::DropShown(const std::string& text) {
  if (shown_ != text) return;
  for (size_t kept = 1; kept < ids_.size(); ++kept) {
    const std::vector<int64_t> last(ids_.end() - static_cast<ptrdiff_t>(kept), ids_.end());
    std::string own = tokenizer_.Decode(last);
    if (own.find_first_not_of(' ') != std::string::npos && text.ends_with(own)) {
      ids_ = last;
      shown_ = std::move(own);
      return;
    }
  }
}

std::string StreamDecoder::Push(int64_t id) {
  // An id that is left out must not stand for the context.
  if (tokenizer_.Decode({id}, true).empty() && !tokenizer_.Decode({id}, false).empty()) {
    return "";
  }
  ids_.push_back(id);
  const std::string text = tokenizer_.Decode(ids_);
  if (ids_.size() > kMaxPending) {  // no character takes so many
    std::string fresh = AdvanceAnyway(text);
    ids_.assign(1, id);
    shown_ = tokenizer_.Decode(ids_);
    return fresh;
  }
  std::string fresh = Advance(CertainPart(text));
  DropShown(text);
  return fresh;
}

std::string StreamDecoder::Finish() {
  const std::string text = tokenizer_.Decode(ids_);
  std::string fresh = AdvanceAnyway(text);
  ids_.clear();
  shown_.clear();
  return fresh;
}

}  // namespace moefy::text
