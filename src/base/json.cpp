#include "base/json.h"

#include <algorithm>
#include <optional>

#include "base/content_hint.h"
#include "base/output.h"
#include "base/utf8.h"
#include "moefy/base/error.h"

namespace moefy {
namespace {

std::string Position(std::string_view text, size_t offset) {
  offset = std::min(offset, text.size());
  size_t line = 1, column = 1;
  for (size_t i = 0; i < offset; ++i) {
    column = text[i] == '\n' ? 1 : column + 1;
    line += text[i] == '\n';
  }
  return StrCat("line ", line, ", column ", column);
}

// Builds the document from parser events. It is a SAX handler, because nlohmann's parse callback
// costs quadratic time on large objects and its tree builder lets the last of two equal keys win.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, const JsonLimits& limits) : text_(text), limits_(limits) {}

  Json Take() { return std::move(root_); }

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(value); }
  bool number_unsigned(number_unsigned_t value) override { return Add(value); }
  bool number_float(number_float_t value, const string_t&) override { return Add(value); }
  bool string(string_t& value) override { return Add(std::move(value)); }
  bool binary(binary_t&) override { return false; }

  bool start_object(size_t) override { return Open(Json::object()); }
  bool start_array(size_t) override { return Open(Json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) {
      throw InputError("key ", Quoted(name), " appears twice in one object");
    }
    pending_key_ = std::move(name);
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..."
    std::string_view what = e.what();
    what = what.substr(what.find("] ") + 2);
    if (what.starts_with("parse error at ")) what = what.substr(what.find(": ") + 2);
    throw InputError("not valid JSON at ", Position(text_, position ? position - 1 : 0), ": ",
                     Shortened(what, 200));
  }

 private:
  Json* Place(Json&& value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    // operator[] would search the whole object, and the key is known to be new.
    auto& members = parent.get_ref<Json::object_t&>();
    members.Container::emplace_back(std::move(pending_key_), std::move(value));
    return &members.back().second;
  }
  bool Add(Json&& value) {
    Place(std::move(value));
    return true;
  }
  bool Open(Json&& value) {
    if (open_.size() >= static_cast<size_t>(limits_.max_depth)) {
      throw InputError("nested deeper than ", limits_.max_depth, " levels");
    }
    open_.push_back(Place(std::move(value)));
    keys_.emplace_back();
    return true;
  }
  bool Close() {
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  std::string_view text_;
  JsonLimits limits_;
  Json root_;
  std::vector<Json*> open_;
  std::vector<std::set<std::string>> keys_;
  std::string pending_key_;
};

std::string Shown(const Json& value) {
  return Shortened(value.dump(-1, ' ', false, Json::error_handler_t::replace), 60);
}

// Takes a whole number as it is. get<int64_t>() would squeeze everything else into one.
std::optional<int64_t> WholeNumber(const Json& value) {
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<uint64_t>() > kMax) return std::nullopt;
  return value.get<int64_t>();
}

}  // namespace

Json ParseJson(std::string_view text, const JsonLimits& limits) {
  if (text.substr(0, 3) == "\xef\xbb\xbf") {
    throw InputError(
        "starts with a byte order mark (BOM), which JSON does not have; save it as "
        "UTF-8 without");
  }
  // A text of one line may be one of many, whose number the caller adds.
  text.find('\n') == std::string_view::npos ? RequireUtf8InLine(text) : RequireUtf8(text);
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    throw InputError("holds a NUL byte at ", Position(text, nul));
  }
  Builder builder(text, limits);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.Take();
}

Json ReadJsonFile(const std::filesystem::path& path, uint64_t max_bytes) {
  return ParseJsonFile(path, ReadTextFile(path, max_bytes));
}

std::string ReadJsonText(const std::filesystem::path& path, uint64_t max_bytes) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? ReadTextFile(path, max_bytes) : "";
}

Json ParseJsonFile(const std::filesystem::path& path, const std::string& text) {
  try {
    return ParseJson(text);
  } catch (const Error& error) {
    throw InputError(path, ": ", error.what(), ContentHint(text));
  }
}

std::string FormatJson(const Json& json) {
  // nlohmann writes NaN and infinities as null. It would throw for names of files that are not
  // UTF-8.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

JsonObject::JsonObject(const Json& json, std::string where)
    : json_(&json), where_(std::move(where)) {
  if (!json.is_object()) {
    throw InputError(where_, ": expected an object, found ", Shown(json));
  }
}

std::string JsonObject::PathOf(const std::string& key) const { return where_ + ": " + key; }

const Json* JsonObject::Lookup(const std::string& key) const {
  asked_.insert(key);
  const auto found = json_->find(key);
  return found == json_->end() || found->is_null() ? nullptr : &*found;
}

const Json& JsonObject::Require(const std::string& key) const {
  const Json* value = Lookup(key);
  if (!value) {
    throw InputError(PathOf(key), " is missing", DidYouMean(key, Keys()));
  }
  return *value;
}

bool JsonObject::Has(const std::string& key) const { return Lookup(key) != nullptr; }

int64_t JsonObject::GetInt(const std::string& key, int64_t min, int64_t max) const {
  const Json& value = Require(key);
  const std::optional<int64_t> number = WholeNumber(value);
  if (!number || *number < min || *number > max) {
    throw InputError(PathOf(key), " is ", Shown(value), "; expected a whole number from ", min,
                     " to ", max);
  }
  return *number;
}

int64_t JsonObject::GetInt(const std::string& key, int64_t min, int64_t max,
                           int64_t if_absent) const {
  return Lookup(key) ? GetInt(key, min, max) : if_absent;
}

double JsonObject::GetNumber(const std::string& key, double min, double max) const {
  const Json& value = Require(key);
  if (!value.is_number() || !(value.get<double>() >= min && value.get<double>() <= max)) {
    throw InputError(PathOf(key), " is ", Shown(value), "; expected a number from ", min, " to ",
                     max);
  }
  return value.get<double>();
}

double JsonObject::GetNumber(const std::string& key, double min, double max,
                             double if_absent) const {
  return Lookup(key) ? GetNumber(key, min, max) : if_absent;
}

bool JsonObject::GetBool(const std::string& key) const {
  const Json& value = Require(key);
  if (!value.is_boolean()) {
    throw InputError(PathOf(key), " is ", Shown(value), "; expected true or false");
  }
  return value.get<bool>();
}

bool JsonObject::GetBool(const std::string& key, bool if_absent) const {
  return Lookup(key) ? GetBool(key) : if_absent;
}

std::string JsonObject::GetString(const std::string& key) const {
  const Json& value = Require(key);
  if (!value.is_string())
    throw InputError(PathOf(key), " is ", Shown(value), "; expected a string");
  return value.get<std::string>();
}

std::string JsonObject::GetString(const std::string& key, const std::string& if_absent) const {
  return Lookup(key) ? GetString(key) : if_absent;
}

namespace {

const Json& RequireArray(const Json& value, const std::string& path) {
  if (!value.is_array()) throw InputError(path, " is ", Shown(value), "; expected an array");
  return value;
}

}  // namespace

std::vector<std::string> JsonObject::GetStrings(const std::string& key) const {
  std::vector<std::string> out;
  for (const Json& item : RequireArray(Require(key), PathOf(key))) {
    if (!item.is_string()) {
      throw InputError(PathOf(key), "[", out.size(), "] is ", Shown(item), "; expected a string");
    }
    out.push_back(item.get<std::string>());
  }
  return out;
}

std::vector<double> JsonObject::GetNumbers(const std::string& key) const {
  std::vector<double> out;
  for (const Json& item : RequireArray(Require(key), PathOf(key))) {
    if (!item.is_number()) {
      throw InputError(PathOf(key), "[", out.size(), "] is ", Shown(item), "; expected a number");
    }
    out.push_back(item.get<double>());
  }
  return out;
}

std::vector<int64_t> JsonObject::GetInts(const std::string& key, int64_t min, int64_t max) const {
  std::vector<int64_t> out;
  for (const Json& item : RequireArray(Require(key), PathOf(key))) {
    const std::optional<int64_t> number = WholeNumber(item);
    if (!number || *number < min || *number > max) {
      throw InputError(PathOf(key), "[", out.size(), "] is ", Shown(item),
                       "; expected a whole number from ", min, " to ", max);
    }
    out.push_back(*number);
  }
  return out;
}

JsonObject JsonObject::GetObject(const std::string& key) const {
  return JsonObject(Require(key), PathOf(key));
}

std::vector<JsonObject> JsonObject::GetObjects(const std::string& key) const {
  std::vector<JsonObject> out;
  for (const Json& item : RequireArray(Require(key), PathOf(key))) {
    out.emplace_back(item, StrCat(PathOf(key), "[", out.size(), "]"));
  }
  return out;
}

std::vector<std::string> JsonObject::Keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json_->items()) keys.push_back(key);
  return keys;
}

const Json& JsonObject::GetRaw(const std::string& key) const { return Require(key); }

std::vector<std::string> JsonObject::UnreadKeys() const {
  std::vector<std::string> keys = Keys();
  std::erase_if(keys, [&](const std::string& key) { return asked_.contains(key); });
  return keys;
}

void JsonObject::RefuseUnknownKeys() const {
  std::vector<std::string> problems;
  for (const std::string& key : UnreadKeys()) {
    problems.push_back(Quoted(key) + DidYouMean(key, {asked_.begin(), asked_.end()}));
  }
  if (problems.empty()) return;
  throw InputError(where_, ": unknown ", problems.size() == 1 ? "key " : "keys ", Join(problems));
}

}  // namespace moefy
