// Tells what moefy made itself, so that --force removes nothing else. docs/formats.md, "What
// --force replaces", describes the same for people.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/json.h"

namespace moefy {

// The file in every directory that moefy makes that lists names and sizes of all files, as JSON.
inline constexpr const char* kOutputMarker = ".moefy-output.json";
// The key that marks safetensors files of tensors that moefy computed, in their metadata.
inline constexpr const char* kOwnMetadata = "moefy";

// Lists every file below `directory` in its marker. Error{kSystem} on failure.
void WriteOutputMarker(const std::filesystem::path& directory);

// Says why the file or directory is not moefy's to remove, as the end of a sentence ("it holds
// '.git/HEAD', which moefy did not write"), or "" when it is moefy's, or empty. Directories without
// a marker are known by the formats of earlier versions. With `changed_too`, files that the marker
// lists with other sizes are moefy's all the same.
std::string WhyNotOwn(const std::filesystem::path& path, bool changed_too = false);

// The last line of pages of HTML that moefy makes.
inline constexpr const char* kOwnPageEnd = "<!-- moefy wrote this page -->\n";

// Names what is missing or has another size than the marker says. "" when all is there, or when
// there is no marker (earlier versions).
std::string WhyNotWhole(const std::filesystem::path& directory);

// Writes a JSON document as a line of a file that moefy makes. A blank before the newline tells it
// from lines of others. Bytes that are not UTF-8 are replaced.
std::string FormatOwnLine(const Json& json);

// The metadata of safetensors files of tensors that moefy computed.
std::map<std::string, std::string> OwnMetadata();

}  // namespace moefy
