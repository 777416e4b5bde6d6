#include "split/config_key.h"

#include "base/json.h"
#include "moefy/base/error.h"
#include "split/moe_checkpoint.h"

namespace moefy::split {
namespace {

constexpr const char* kSpace = " \t\r\n";  // JSON's white space

std::string KeyText() { return StrCat("\"moefy\": {\"format\": ", kMoeFormat, "}"); }

// The place right behind the last thing in the object. The new text goes there, so that it can be
// found again whatever white space stands around it.
size_t EndOfContent(const std::string& config) {
  const size_t brace = config.rfind('}');
  return config.find_last_not_of(kSpace, brace - 1) + 1;
}

// White space between the last comma or brace and the first key: " ", "\r\n\t", "\n  " or "".
std::string Indentation(const std::string& config) {
  const size_t begin = config.find('{') + 1;
  return config.substr(begin, config.find_first_not_of(kSpace, begin) - begin);
}

}  // namespace

std::string AddMoefyKey(const std::string& config) {
  const Json json = WithContext("config.json", [&] { return ParseJson(config); });
  if (!json.is_object()) throw InputError("config.json: expected an object");
  if (json.contains("moefy")) {
    throw InputError("config.json has a key 'moefy' already, but there is no ", kMoeManifest,
                     " beside it; restore one or take the other out");
  }
  const std::string key = KeyText();
  std::string out = config;
  if (json.empty()) return out.insert(EndOfContent(config), key);
  const std::string space = Indentation(config);
  return out.insert(EndOfContent(config), "," + (space.empty() ? " " : space) + key);
}

std::string RemoveMoefyKey(const std::string& config) {
  const std::string key = KeyText();
  const size_t end = config.rfind('}') == std::string::npos ? 0 : EndOfContent(config);
  if (end < key.size() || config.compare(end - key.size(), key.size(), key) != 0) {
    throw InputError("config.json was changed after the split: it does not end in ", key,
                     " any more, so the original cannot be restored bit for bit");
  }
  const size_t before = config.find_last_not_of(kSpace, end - key.size() - 1);
  const bool only_key = config[before] == '{';
  std::string out = config;
  const size_t begin = only_key ? end - key.size() : before;
  return out.erase(begin, end - begin);
}

}  // namespace moefy::split
