// Output that appears whole or not at all: written beside its target, synced, then renamed.
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace moefy {

enum class IfExists {
  kRefuse,   // an existing target is Error{kUsage} that names --force
  kReplace,  // the old target is moved aside, the new renamed into place, then the old deleted
};

// A directory under construction. Until Commit(), the target is untouched; without Commit(),
// the destructor removes what was staged.
class StagedDirectory {
 public:
  // Creates the staging directory next to `target`. Throws at once when the target exists and may
  // not be replaced, or its parent is missing or not writable.
  StagedDirectory(std::filesystem::path target, IfExists if_exists);
  ~StagedDirectory();
  StagedDirectory(const StagedDirectory&) = delete;
  StagedDirectory& operator=(const StagedDirectory&) = delete;

  const std::filesystem::path& path() const { return staging_; }
  const std::filesystem::path& target() const { return target_; }

  // Syncs every file, then renames. On failure the old target is put back.
  void Commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path staging_;
  IfExists if_exists_;
};

// The same for one file.
class StagedFile {
 public:
  StagedFile(std::filesystem::path target, IfExists if_exists);
  ~StagedFile();
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  const std::filesystem::path& path() const { return staging_; }
  void Commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path staging_;
  IfExists if_exists_;
};

// Throws what the constructors above throw about `target`, without creating anything: called
// before long work whose result would have no place to go.
void CheckOutput(const std::filesystem::path& target, IfExists if_exists);

// Writes `text` through a StagedFile.
void WriteTextFile(const std::filesystem::path& target, std::string_view text, IfExists if_exists);
// Reads a whole regular file of at most `max_bytes`.
std::string ReadTextFile(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{1} << 30);

}  // namespace moefy
