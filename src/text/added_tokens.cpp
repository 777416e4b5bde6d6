#include "text/added_tokens.h"

#include "moefy/base/error.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

constexpr size_t kMaxBytes = 4096;  // of one token

}  // namespace

size_t AddedTokens::Node(std::string_view content) {
  size_t node = 0;
  for (const char byte : content) {
    const auto [found, is_new] = trie_[node].try_emplace(byte, trie_.size());
    node = found->second;
    if (is_new) {
      trie_.emplace_back();
      ends_.push_back(-1);
    }
  }
  return node;
}

void AddedTokens::Add(AddedToken token) {
  if (token.content.empty()) return;
  if (token.content.size() > kMaxBytes) {
    throw InputError("added token ", Quoted(Shortened(token.content, 40)), " has ",
                     token.content.size(), " bytes; at most ", kMaxBytes);
  }
  if (const AddedToken* old = FindId(token.id)) {
    ends_[Node(old->content)] = -1;
    ids_.erase(old->content);
  }
  ends_[Node(token.content)] = token.id;
  ids_.insert_or_assign(token.content, token.id);
  by_id_.insert_or_assign(token.id, std::move(token));
}

const AddedToken* AddedTokens::FindId(int64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

const AddedToken* AddedTokens::FindContent(std::string_view content) const {
  const auto found = ids_.find(content);
  return found == ids_.end() ? nullptr : FindId(found->second);
}

const AddedToken* AddedTokens::FindPrefix(std::string_view text) const {
  int64_t longest = -1;
  size_t node = 0;
  for (const char byte : text) {
    const auto found = trie_[node].find(byte);
    if (found == trie_[node].end()) break;
    node = found->second;
    if (ends_[node] >= 0) longest = ends_[node];
  }
  return FindId(longest);
}

std::vector<AddedTokens::Part> AddedTokens::Split(std::string_view text) const {
  std::vector<Part> parts;
  bool open = false;  // the last part is text that may grow
  for (size_t i = 0; i < text.size();) {
    if (const AddedToken* token = FindPrefix(text.substr(i))) {
      parts.push_back({token->content, token});
      i += token->content.size();
      open = false;
    } else {
      if (!open) parts.emplace_back();
      parts.back().text += text[i++];
      open = true;
    }
  }

  for (size_t i = 0; i < parts.size(); ++i) {
    const AddedToken* token = parts[i].token;
    if (!token) continue;
    Part* left = i > 0 && !parts[i - 1].text.empty() ? &parts[i - 1] : nullptr;
    Part* right = i + 1 < parts.size() ? &parts[i + 1] : nullptr;
    if (right && !right->token && token->strip_right) right->text = StripLeft(right->text);
    if (left && !left->token && token->strip_left) left->text = StripRight(left->text);
    if (!token->single_word) continue;
    if (left && !left->text.empty() && left->text.back() != ' ') {
      *left = {left->text + parts[i].text, nullptr};
      parts[i] = {};
    } else if (right && !right->text.empty() && right->text.front() != ' ') {
      *right = {parts[i].text + right->text, nullptr};
      parts[i] = {};
    }
  }
  std::erase_if(parts, [](const Part& part) { return part.text.empty(); });
  return parts;
}

}  // namespace moefy::text
