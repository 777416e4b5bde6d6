#include "text/tokenizer_json/component.h"

#include <algorithm>

namespace moefy::text {

std::string GetSymbol(const JsonObject& object, const std::string& key) {
  std::string symbol = object.GetString(key);
  if (symbol.empty()) throw InputError(object.PathOf(key), " is empty");
  return symbol;
}

Pattern::Pattern(const JsonObject& object, const std::string& key) {
  const JsonObject pattern = object.GetObject(key);
  if (pattern.Has("Regex")) {
    const std::string text = pattern.GetString("Regex");
    regex_ = WithContext(object.PathOf(key), [&] { return std::make_shared<const Regex>(text); });
  } else {
    literal_ = pattern.GetString("String");
  }
}

std::vector<Regex::Span> Pattern::Split(std::string_view text) const {
  if (regex_) return regex_->Split(text);
  std::vector<Regex::Span> spans;
  size_t done = 0;
  while (done < text.size()) {
    const size_t found =
        literal_.empty() ? text.size() : std::min(text.find(literal_, done), text.size());
    if (found > done) spans.push_back({done, found, false});
    done = found;
    if (done == text.size()) break;
    spans.push_back({done, done + literal_.size(), true});
    done += literal_.size();
  }
  return spans;
}

std::string Pattern::Replace(std::string_view text, std::string_view by) const {
  std::string out;
  for (const Regex::Span& span : Split(text)) {
    out += span.matched ? by : text.substr(span.begin, span.end - span.begin);
  }
  return out;
}

}  // namespace moefy::text
