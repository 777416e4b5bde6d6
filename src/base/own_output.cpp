#include "base/own_output.h"

#include <fnmatch.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>
#include <span>

#include "base/file.h"
#include "base/output.h"
#include "moefy/base/error.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

constexpr int kFormat = 1;

// Tells the directories of versions that wrote no marker: each has a file that says what it is, and
// beside it only names that moefy may have put there.
struct EarlierFormat {
  const char* key_file;
  const char* key;  // in the JSON of key_file
  std::vector<const char*> patterns;
};

const std::vector<EarlierFormat>& EarlierFormats() {
  static const std::vector<EarlierFormat> formats = {
      {"moefy.json",
       "moefy_version",
       {"moefy.json",
        "moefy.safetensors",
        "config.json",
        "generation_config.json",
        "model*.safetensors",
        "model.safetensors.index.json",
        "*.safetensors.index.json",
        "tokenizer*.json",
        "tokenizer.model",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.*",
        "merges.txt",
        "*.spm",
        "spiece.model",
        "sentencepiece*.model",
        "preprocessor_config.json",
        "chat_template.*",
        "README.md",
        "LICENSE*"}},
      {"dump.json", "model_fingerprint", {"dump.json", "*-[0-9][0-9][0-9][0-9][0-9].safetensors"}},
      {"state.json", "identity", {"state.json", "state.safetensors"}},
  };
  return formats;
}

struct Found {
  std::string name;  // relative to the directory
  bool is_file = false;
  uint64_t size = 0;
};

// Lists everything below a directory but directories themselves. Does not follow links.
std::vector<Found> ListFiles(const fs::path& directory) {
  std::vector<Found> files;
  try {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
      const fs::file_status status = entry.symlink_status();
      if (fs::is_directory(status)) continue;
      const bool is_file = fs::is_regular_file(status);
      files.push_back({entry.path().lexically_relative(directory).string(), is_file,
                       is_file ? entry.file_size() : 0});
    }
  } catch (const fs::filesystem_error& error) {
    throw SystemError(error.code().value(), directory, ": cannot be listed");
  }
  std::sort(files.begin(), files.end(),
            [](const Found& a, const Found& b) { return a.name < b.name; });
  return files;
}

// The sizes of the files by name, as the marker lists them; nothing without a marker that can be
// read.
std::optional<std::map<std::string, uint64_t>> ReadMarker(const fs::path& directory) {
  std::error_code ignored;
  if (!fs::is_regular_file(fs::symlink_status(directory / kOutputMarker, ignored))) return {};
  try {
    const Json json = ReadJsonFile(directory / kOutputMarker);
    const JsonObject marker(json, kOutputMarker);
    marker.GetInt("format", kFormat, kFormat);
    const JsonObject files = marker.GetObject("files");
    std::map<std::string, uint64_t> sizes;
    for (const std::string& name : files.Keys()) {
      sizes[name] =
          static_cast<uint64_t>(files.GetInt(name, 0, std::numeric_limits<int64_t>::max()));
    }
    return sizes;
  } catch (const Error&) {
    return {};  // the marker is not one of ours
  }
}

// "'a', 'b', 'c' and 7 more"
std::string FirstOf(const std::vector<std::string>& names) {
  constexpr size_t kMaxShown = 3;
  std::vector<std::string> shown;
  for (size_t i = 0; i < std::min(kMaxShown, names.size()); ++i) shown.push_back(Quoted(names[i]));
  const size_t num_more = names.size() - shown.size();
  return Join(shown) + (num_more > 0 ? StrCat(" and ", num_more, " more") : "");
}

std::string Foreign(const std::vector<std::string>& names) {
  return names.empty() ? ""
                       : StrCat("it holds ", FirstOf(names), ", which moefy did not write there");
}

const EarlierFormat* FindEarlierFormat(const fs::path& directory) {
  for (const EarlierFormat& format : EarlierFormats()) {
    std::error_code ignored;
    if (!fs::is_regular_file(directory / format.key_file, ignored)) continue;
    try {
      const Json json = ReadJsonFile(directory / format.key_file);
      if (json.is_object() && json.contains(format.key)) return &format;
    } catch (const Error&) {
      continue;  // the file is not one of ours
    }
  }
  return nullptr;
}

std::string WhyNotOwnDirectory(const fs::path& directory, bool changed_too) {
  const std::vector<Found> files = ListFiles(directory);
  if (files.empty()) return "";
  std::vector<std::string> foreign, changed;
  if (const auto marker = ReadMarker(directory)) {
    for (const Found& file : files) {
      const auto listed = marker->find(file.name);
      if (file.name == kOutputMarker) continue;
      if (!file.is_file || listed == marker->end()) {
        foreign.push_back(file.name);
      } else if (listed->second != file.size && !changed_too) {
        changed.push_back(file.name);
      }
    }
    if (foreign.empty() && !changed.empty()) {
      return StrCat("it holds ", FirstOf(changed), ", which was changed since moefy wrote it");
    }
    return Foreign(foreign);
  }
  const EarlierFormat* format = FindEarlierFormat(directory);
  for (const Found& file : files) {
    const bool known =
        format && file.is_file && std::ranges::any_of(format->patterns, [&](const char* pattern) {
          return ::fnmatch(pattern, file.name.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0;
        });
    if (!known) foreign.push_back(file.name);
  }
  return Foreign(foreign);
}

// Whether a safetensors header says that moefy made the file.
bool HasOwnMetadata(const File& file) {
  constexpr uint64_t kMaxHeaderBytes = 100'000'000;
  uint64_t length = 0;
  if (file.size() < sizeof(length)) return false;
  file.ReadAt(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > kMaxHeaderBytes || length > file.size() - sizeof(length)) return false;
  std::string header(length, '\0');
  file.ReadAt(sizeof(length), std::as_writable_bytes(std::span(header)));
  try {
    const Json json = ParseJson(header);
    return json.is_object() && json.contains("__metadata__") &&
           json.at("__metadata__").is_object() && json.at("__metadata__").contains(kOwnMetadata);
  } catch (const Error&) {
    return false;
  }
}

// Whether every line is one of FormatOwnLine.
bool HasOwnLines(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line;
  while (std::getline(file, line)) {
    const bool ended = !file.eof();  // moefy ends every line with a newline
    if (!ended || !line.starts_with('{') || !line.ends_with("} ")) return false;
  }
  return file.eof();
}

// Whether the file ends as moefy's pages of HTML do.
bool HasOwnPageEnd(const File& file) {
  const std::string_view end = kOwnPageEnd;
  if (file.size() < end.size()) return false;
  std::string found(end.size(), '\0');
  file.ReadAt(file.size() - end.size(), std::as_writable_bytes(std::span(found)));
  return found == end;
}

}  // namespace

void WriteOutputMarker(const fs::path& directory) {
  Json sizes = Json::object();
  for (const Found& file : ListFiles(directory)) {
    if (file.name != kOutputMarker) sizes[file.name] = file.size;
  }
  WriteTextFile(directory / kOutputMarker, FormatJson({{"format", kFormat}, {"files", sizes}}),
                IfExists::kRenew);
}

std::string WhyNotOwn(const fs::path& path, bool changed_too) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return WhyNotOwnDirectory(path, changed_too);
  const File file = File::Open(path);
  if (file.size() == 0 || HasOwnMetadata(file) || HasOwnPageEnd(file) || HasOwnLines(path)) {
    return "";
  }
  return "it is not a file that moefy wrote, or it was changed since";
}

std::string WhyNotWhole(const fs::path& directory) {
  const auto marker = ReadMarker(directory);
  if (!marker) return "";
  for (const auto& [name, size] : *marker) {
    std::error_code ignored;
    const fs::path path = directory / name;
    if (!fs::is_regular_file(path, ignored)) return StrCat(Quoted(name), " is missing");
    const uint64_t found = fs::file_size(path, ignored);
    if (found != size) {
      return StrCat(Quoted(name), " has ", found, " bytes; ", size, " were written");
    }
  }
  return "";
}

std::string FormatOwnLine(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + " \n";
}

std::map<std::string, std::string> OwnMetadata() {
  return {{"format", "pt"}, {kOwnMetadata, std::to_string(kFormat)}};
}

}  // namespace moefy
