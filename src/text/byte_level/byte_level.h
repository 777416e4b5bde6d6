// GPT-2's way of writing any byte as a printable character, so that a vocabulary of characters can
// hold all bytes: "Ġ" is the space. Pure functions, thread-safe.
// https://github.com/openai/gpt-2, src/encoder.py, bytes_to_unicode.
#pragma once

#include <string>
#include <string_view>

namespace moefy::text {

// Writes every byte of `bytes` as its character.
std::string ToByteCharacters(std::string_view bytes);

// The bytes that the characters of `token` stand for; `token` itself if one stands for none.
// The result need not be valid UTF-8.
std::string FromByteCharacters(std::string_view token);

// How GPT-2, Qwen2 and LLaMA 3 cut text into words before merges are applied.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

}  // namespace moefy::text
