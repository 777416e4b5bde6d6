// One struct per command, declared field by field in one place, drives the command line, strict
// JSON, the record of effective options and the generated documentation.
//
//   struct SplitOptions {
//     std::string method = "kmeans";
//     int64_t num_experts = 0;
//     template <class Visitor> void Visit(Visitor& v) {
//       v.Argument("checkpoint", checkpoint, "the checkpoint to split");  // positional
//       v.Field("method", method, "how neurons are grouped: kmeans or random");
//       v.Field("experts", num_experts, "experts per FFN; 0 means d_ff / expert-size");
//     }
//   };
//
// Field types: bool, int64_t, double, std::string, std::vector<double>, std::vector<std::string>,
// and std::optional of these, which is empty unless the option is given. An optional bool is a pair
// of flags, --name and --no-name. `v.Renamed("old-name", "new-name")` lets an option's old name end
// with an error that gives the new one.
// Names are written-with-dashes on the command line and written_with_underscores in JSON.
#pragma once

#include <optional>
#include <string>
#include <type_traits>

#include "base/json.h"
#include "moefy/base/error.h"

namespace moefy {

// "expert-size" -> "expert_size"
inline std::string JsonKey(std::string_view option_name) {
  return ReplaceAll(std::string(option_name), "-", "_");
}

// Error{kUsage} "--name is 3; expected ..." unless `ok`.
template <typename T>
void RequireOption(bool ok, const char* name, const T& value, const char* expected) {
  if (!ok) throw UsageError("--", name, " is ", value, "; expected ", expected);
}

namespace internal {

template <typename T>
struct OptionalOf {
  static constexpr bool kIs = false;
};
template <typename T>
struct OptionalOf<std::optional<T>> {
  static constexpr bool kIs = true;
};

struct OptionReader {
  const JsonObject& object;
  void Renamed(const char* before, const char* now) {
    if (!object.Has(JsonKey(before))) return;
    throw InputError(object.PathOf(JsonKey(before)), " is now called ", Quoted(JsonKey(now)));
  }
  template <typename T>
  void Argument(const char* name, T& value, const char* help) {
    Field(name, value, help);
  }
  template <typename T>
  void Field(const char* name, T& value, const char* /*help*/) {
    const std::string key = JsonKey(name);
    if (!object.Has(key)) return;
    if constexpr (OptionalOf<T>::kIs) {
      Field(name, value.emplace(), "");
    } else if constexpr (std::is_same_v<T, bool>) {
      value = object.GetBool(key);
    } else if constexpr (std::is_same_v<T, int64_t>) {
      value = object.GetInt(key, std::numeric_limits<int64_t>::min(),
                            std::numeric_limits<int64_t>::max());
    } else if constexpr (std::is_same_v<T, double>) {
      value = object.GetNumber(key, -std::numeric_limits<double>::max(),
                               std::numeric_limits<double>::max());
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = object.GetString(key);
    } else if constexpr (std::is_same_v<T, std::vector<double>>) {
      value = object.GetNumbers(key);
    } else {
      static_assert(std::is_same_v<T, std::vector<std::string>>, "not an option type");
      value = object.GetStrings(key);
    }
  }
};

struct OptionWriter {
  Json out = Json::object();
  void Renamed(const char*, const char*) {}
  template <typename T>
  void Argument(const char* name, T& value, const char* help) {
    Field(name, value, help);
  }
  template <typename T>
  void Field(const char* name, T& value, const char* /*help*/) {
    if constexpr (OptionalOf<T>::kIs) {
      if (value) out[JsonKey(name)] = *value;
    } else {
      out[JsonKey(name)] = value;
    }
  }
};

}  // namespace internal

// Overwrites the fields that `object` names. Other keys are left for the caller to read;
// call object.RefuseUnknownKeys() when all are read.
template <typename Options>
void ReadOptions(const JsonObject& object, Options& options) {
  internal::OptionReader reader{object};
  options.Visit(reader);
}

// Every field with its effective value, in declaration order; without empty optionals.
template <typename Options>
Json OptionsToJson(Options options) {
  internal::OptionWriter writer;
  options.Visit(writer);
  return writer.out;
}

}  // namespace moefy
