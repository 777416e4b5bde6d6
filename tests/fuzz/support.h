// What the targets share.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "moefy/base/error.h"

namespace moefy::fuzz {

inline std::string_view AsText(std::span<const std::byte> input) {
  return {reinterpret_cast<const char*>(input.data()), input.size()};
}

// Runs `body`; that it refuses its input is what we want, that it fails otherwise is not.
template <typename Body>
void Refusable(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput && error.kind() != ErrorKind::kUsage) throw;
  }
}

// A directory in memory for readers of files, one per target and process.
class Directory {
 public:
  Directory() {
    std::error_code ignored;
    const std::filesystem::path memory = "/dev/shm";
    const auto parent = std::filesystem::is_directory(memory, ignored)
                            ? memory
                            : std::filesystem::temp_directory_path();
    std::string pattern = (parent / "moefy-fuzz-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path Write(const char* name, std::string_view bytes) const {
    std::ofstream file(path_ / name, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) throw std::runtime_error("cannot write into " + path_.string());
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace moefy::fuzz
