// Strict JSON: what nlohmann_json lets pass silently (duplicate keys, a BOM, trailing NULs, numbers
// squeezed into other types, unbounded nesting) is an error here. Thread-safety: values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace moefy {

using Json = nlohmann::ordered_json;  // keeps the order in which keys were written

struct JsonLimits {
  int max_depth = 64;
};

// Parses one document. Throws Error{kInput} with line and column: bytes that are not UTF-8, a BOM,
// a syntax error, a key twice in one object, nesting over the limit, anything after the value.
Json ParseJson(std::string_view text, const JsonLimits& limits = {});

// Reads a file of at most `max_bytes`; messages start with the path.
Json ReadJsonFile(const std::filesystem::path& path, uint64_t max_bytes = 64 << 20);
// Its two halves: the text, "" where there is no such file, and what a text says.
std::string ReadJsonText(const std::filesystem::path& path, uint64_t max_bytes = 64 << 20);
Json ParseJsonFile(const std::filesystem::path& path, const std::string& text);

// Two-space indentation and a final newline; numbers that are not finite (non_finite.h) are null.
std::string FormatJson(const Json& json);

// Checked access to one JSON object. Every message names the field by its path ("config.json:
// d_ff"), the value found and what was wanted. Remembers which keys were asked for, so that the
// rest can be refused. Holds references: the Json must outlive it.
class JsonObject {
 public:
  // Throws Error{kInput} when `json` is not an object. `where` begins every message.
  JsonObject(const Json& json, std::string where);

  bool Has(const std::string& key) const;  // present and not null
  int64_t GetInt(const std::string& key, int64_t min, int64_t max) const;
  int64_t GetInt(const std::string& key, int64_t min, int64_t max, int64_t if_absent) const;
  double GetNumber(const std::string& key, double min, double max) const;
  double GetNumber(const std::string& key, double min, double max, double if_absent) const;
  bool GetBool(const std::string& key) const;
  bool GetBool(const std::string& key, bool if_absent) const;
  std::string GetString(const std::string& key) const;
  std::string GetString(const std::string& key, const std::string& if_absent) const;
  std::vector<std::string> GetStrings(const std::string& key) const;
  std::vector<double> GetNumbers(const std::string& key) const;
  std::vector<int64_t> GetInts(const std::string& key, int64_t min, int64_t max) const;
  JsonObject GetObject(const std::string& key) const;
  std::vector<JsonObject> GetObjects(const std::string& key) const;  // an array of objects
  std::vector<std::string> Keys() const;
  const Json& GetRaw(const std::string& key) const;

  std::vector<std::string> UnreadKeys() const;  // those nobody asked for, as they come
  // Throws Error{kInput} naming every one of them, each with the nearest known one.
  void RefuseUnknownKeys() const;
  // An Error about one field, for checks of the caller's own.
  std::string PathOf(const std::string& key) const;

 private:
  const Json* Lookup(const std::string& key) const;  // null when absent or null
  const Json& Require(const std::string& key) const;

  const Json* json_;
  std::string where_;
  mutable std::set<std::string> asked_;
};

}  // namespace moefy
