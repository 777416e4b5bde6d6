// Small text helpers that messages and reports are made of. Pure functions, thread-safe.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace moefy {

namespace internal {
inline void Append(std::ostringstream& out, const std::filesystem::path& path) {
  out << path.string();
}
template <typename T>
void Append(std::ostringstream& out, const T& part) {
  out << part;
}
}  // namespace internal

// Joins the parts as operator<< writes them, and paths without quotes.
template <typename... Parts>
std::string StrCat(const Parts&... parts) {
  std::ostringstream out;
  (internal::Append(out, parts), ...);
  return std::move(out).str();
}

// Cuts `text` to at most `max_bytes`, never inside a UTF-8 character, and marks the cut by "...".
std::string Shortened(std::string_view text, size_t max_bytes);

// Puts quotes around a name ('name'), escapes control characters and cuts it at 200 bytes.
std::string Quoted(std::string_view name);

// "a, b, c"
std::string Join(const std::vector<std::string>& parts, std::string_view separator = ", ");

// Splits at every `separator`; "" gives {""}.
std::vector<std::string> Split(std::string_view text, char separator);

// Removes leading and trailing ASCII white space.
std::string Trim(std::string_view text);

// Replaces every occurrence of `from` by `to`.
std::string ReplaceAll(std::string text, std::string_view from, std::string_view to);

// "512 B", "3.4 KB", "1.20 GB" (powers of 1000).
std::string FormatBytes(uint64_t num_bytes);

// "1,234,567"
std::string FormatCount(uint64_t count);

// "850 ms", "12.3 s", "4 min 05 s"
std::string FormatDuration(double seconds);

// Writes `value` with `decimals` digits after the point.
std::string FormatFixed(double value, int decimals);

// "[2, 3]", as shapes are written.
template <std::integral T>
std::string FormatShape(const std::vector<T>& shape) {
  std::vector<std::string> parts;
  for (T extent : shape) parts.push_back(std::to_string(extent));
  return "[" + Join(parts) + "]";
}

// The candidate nearest to `name` by edit distance, or "" when none is near enough to be a typo.
std::string NearestName(std::string_view name, const std::vector<std::string>& candidates);

// " (did you mean 'x'?)", or "" when nothing is near.
std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates);

bool IsValidUtf8(std::string_view text);

// What strerror says, thread-safe.
std::string SystemMessage(int errno_value);

}  // namespace moefy
