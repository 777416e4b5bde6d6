// How moefy knows what it made itself, so that --force removes nothing else. docs/formats.md, "What
// --force replaces", describes the same for people.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "moefy/base/json.h"

namespace moefy {

// In every directory that moefy makes: the names and sizes of the files in it, as JSON.
inline constexpr const char* kOutputMarker = ".moefy-output.json";
// The key in the metadata of safetensors files that moefy makes of tensors it computed.
inline constexpr const char* kOwnMetadata = "moefy";

// Lists every file below `directory` in its marker. Error{kSystem} on failure.
void WriteOutputMarker(const std::filesystem::path& directory);

// Why the file or directory is not moefy's to remove, as the end of a sentence ("it holds
// '.git/HEAD', which moefy did not write"); "" when it is moefy's, or empty. Directories without a
// marker are known by the formats of earlier versions. With `changed_too`, files of the marker
// whose sizes are others now are moefy's all the same.
std::string WhyNotOwn(const std::filesystem::path& path, bool changed_too = false);

// What is missing or has another size than its marker says; "" when nothing is, or where there is
// no marker (earlier versions).
std::string WhyNotWhole(const std::filesystem::path& directory);

// A JSON document on a line of a file that moefy makes: a blank before the newline tells it from a
// line of anybody else. Bytes that are not UTF-8 are replaced.
std::string FormatOwnLine(const Json& json);

// The metadata of safetensors files that moefy makes of tensors it computed.
std::map<std::string, std::string> OwnMetadata();

}  // namespace moefy
