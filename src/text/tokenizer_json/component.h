// The tables of a tokenizer.json's components: from a "type" to the function that reads it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/base/error.h"
#include "text/regex.h"

namespace moefy::text {

template <typename Step>
struct Component {
  const char* type;
  Step (*parse)(const JsonObject& object);
};

// Looks `object`'s type up in the table and reads it. `what` is the kind of component in messages:
// "normalizer". Throws Error{kInput} that lists the types of the table.
template <typename Step, size_t kSize>
Step ParseComponent(const Component<Step> (&table)[kSize], const JsonObject& object,
                    const char* what) {
  const std::string type = object.GetString("type");
  std::vector<std::string> types;
  for (const Component<Step>& row : table) {
    if (type == row.type) return row.parse(object);
    types.emplace_back(row.type);
  }
  throw InputError(object.PathOf("type"), ": ", what, " ", Quoted(type),
                   " is not supported; supported: ", Join(types));
}

// A string that must not be empty.
std::string GetSymbol(const JsonObject& object, const std::string& key);

// What {"String": "..."} or {"Regex": "..."} finds. Values, thread-safe.
class Pattern {
 public:
  Pattern(const JsonObject& object, const std::string& key);
  std::vector<Regex::Span> Split(std::string_view text) const;
  std::string Replace(std::string_view text, std::string_view by) const;

 private:
  std::shared_ptr<const Regex> regex_;  // null if the pattern is the literal
  std::string literal_;
};

}  // namespace moefy::text
