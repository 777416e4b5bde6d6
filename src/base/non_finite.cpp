#include "base/non_finite.h"

#include <cmath>

#include "moefy/base/strings.h"

namespace moefy {
namespace {

void Collect(const Json& json, const std::string& path, std::vector<std::string>& paths) {
  if (json.is_number_float() && !std::isfinite(json.get<double>())) paths.push_back(path);
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      Collect(value, path.empty() ? key : StrCat(path, ".", key), paths);
    }
  } else if (json.is_array()) {
    for (size_t i = 0; i < json.size(); ++i) Collect(json[i], StrCat(path, "[", i, "]"), paths);
  }
}

}  // namespace

std::vector<std::string> NonFinitePaths(const Json& json) {
  std::vector<std::string> paths;
  Collect(json, "", paths);
  return paths;
}

}  // namespace moefy
