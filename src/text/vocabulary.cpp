#include "text/vocabulary.h"

#include <utility>

#include "base/utf8.h"
#include "moefy/base/error.h"

namespace moefy::text {
namespace {

constexpr int64_t kMaxGap = 1 << 16;  // how far ids may exceed the number of tokens

}  // namespace

void Vocabulary::Add(std::string token, int64_t id) {
  const auto index = static_cast<size_t>(id);
  if (index < tokens_.size() && tokens_[index]) {
    throw InputError("tokens ", Quoted(*tokens_[index]), " and ", Quoted(token),
                     " have the same id, ", id);
  }
  const auto [found, is_new] = ids_.emplace(token, id);
  if (!is_new) {
    throw InputError("token ", Quoted(token), " has two ids, ", found->second, " and ", id);
  }
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  tokens_[index] = std::move(token);
}

void Vocabulary::AddAgain(std::string token, int64_t id) {
  ids_.erase(token);
  Add(std::move(token), id);
}

std::optional<int64_t> Vocabulary::Find(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string& Vocabulary::Get(int64_t id) const {
  if (id < 0 || id >= size() || !tokens_[static_cast<size_t>(id)]) {
    throw InputError("token id ", id, " has no token");
  }
  return *tokens_[static_cast<size_t>(id)];
}

Vocabulary ParseVocabularyLines(std::string_view text, Repeated repeated) {
  Vocabulary vocabulary;
  if (text.empty()) throw InputError("the vocabulary is empty");
  if (text.ends_with('\n')) text.remove_suffix(1);
  RequireUtf8(text);
  int64_t line = 0;
  for (std::string& token : Split(text, '\n')) {
    ++line;
    if (token.ends_with('\r')) token.pop_back();
    if (token.empty()) continue;
    const std::optional<int64_t> id = vocabulary.Find(token);
    if (id && repeated == Repeated::kIsRefused) {
      throw InputError("line ", line, ": token ", Quoted(token), " stands on line ", *id + 1,
                       " already");
    }
    vocabulary.AddAgain(std::move(token), line - 1);
  }
  return vocabulary;
}

Vocabulary ParseVocabularyJson(const Json& json, const std::string& where) {
  if (!json.is_object()) throw InputError(where, ": expected an object of tokens and their ids");
  if (json.empty()) throw InputError(where, ": the vocabulary is empty");
  const auto limit = static_cast<int64_t>(json.size()) + kMaxGap;
  Vocabulary vocabulary;
  for (const auto& [token, id] : json.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= static_cast<uint64_t>(limit)) {
      throw InputError(where, ": token ", Quoted(token), " has id ", Shortened(id.dump(), 60),
                       "; expected a whole number below ", limit, " for ", json.size(), " tokens");
    }
    // The variables are named again because clang 14 captures no structured bindings.
    WithContext(where, [&, &token = token, &id = id] { vocabulary.Add(token, id.get<int64_t>()); });
  }
  return vocabulary;
}

}  // namespace moefy::text
