// Output that appears whole or not at all: written beside its target, synced, then renamed. What
// stood at the target goes only if moefy made it (moefy/base/own_output.h), and an output may never
// be, hold or lie in what the command reads.
// Thread-safety: one owner, but for AbandonOutputs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace moefy {

enum class IfExists {
  kRefuse,   // an existing target is Error{kUsage} that names --force
  kReplace,  // what moefy made, and nobody changed since, makes room; anything else is
             // Error{kUsage}
  // The same, said by who made the target itself: a file makes room whatever is in it, a directory
  // also when its files were changed, cut short or lost; files of others in it still stop.
  kRenew,
};

// What a command reads: files, and directories that it reads as a whole. Empty paths and paths
// where nothing is do not count.
using InputPaths = std::vector<std::filesystem::path>;

// A name beside the target under which an output is made; locked while its process lives. What
// earlier processes left there when they were killed is removed (TakeOutputNotes says so).
class Staging {
 public:
  enum class Kind { kFile, kDirectory };

  Staging(const std::filesystem::path& target, Kind kind);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // Renames to the target: in place of what is there if `replace`, which goes, otherwise only where
  // nothing is. There is no moment without one of the two.
  void Publish(bool replace);

 private:
  std::filesystem::path target_;
  std::filesystem::path path_;  // empty once it is published
  int lock_ = -1;
};

// A directory under construction. Until Commit(), the target is untouched; without Commit(),
// the destructor removes what was staged.
class StagedDirectory {
 public:
  // Creates the staging directory next to `target`. Throws at once when the target exists and may
  // not be replaced, when it is, holds or lies in one of `inputs`, when it is or holds a home, a
  // root, the top of a git work tree or a mount, or when its parent is missing or not writable.
  StagedDirectory(std::filesystem::path target, IfExists if_exists, const InputPaths& inputs = {});
  StagedDirectory(const StagedDirectory&) = delete;
  StagedDirectory& operator=(const StagedDirectory&) = delete;

  const std::filesystem::path& path() const { return staging_.path(); }
  const std::filesystem::path& target() const { return target_; }

  // Adds the marker, syncs every file, then renames. On failure the old target stays; a mapped
  // input that changed meanwhile is one (moefy/base/input_watch.h).
  void Commit();

 private:
  std::filesystem::path target_;
  IfExists if_exists_;
  Staging staging_;
};

// The same for one file.
class StagedFile {
 public:
  StagedFile(std::filesystem::path target, IfExists if_exists, const InputPaths& inputs = {});
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  const std::filesystem::path& path() const { return staging_.path(); }
  void Commit();

 private:
  std::filesystem::path target_;
  IfExists if_exists_;
  Staging staging_;
};

// A directory in the system's one for temporary files, which goes with its owner.
class ScratchDirectory {
 public:
  explicit ScratchDirectory(std::string_view name);
  const std::filesystem::path& path() const { return staging_.path(); }

 private:
  Staging staging_;
};

// Holds a directory that grows from run to run for one process at a time. Error{kSystem} names the
// process that has it.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::filesystem::path& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

  static constexpr const char* kFile = ".moefy-lock";  // stays in the directory

 private:
  int descriptor_ = -1;
};

// Throws what the constructors above throw about `target`, without creating anything: called
// before long work whose result would have no place to go.
void CheckOutput(const std::filesystem::path& target, Staging::Kind kind, IfExists if_exists,
                 const InputPaths& inputs = {});

// Throws Error{kUsage} when `target` is, holds or lies in one of `inputs`.
void CheckApart(const std::filesystem::path& target, const InputPaths& inputs);

// Whether `name` is one that a Staging makes, of whatever target.
bool IsStagingName(std::string_view name);

// What was removed or put back after earlier processes, in sentences for people. Each comes once.
std::vector<std::string> TakeOutputNotes();

// For a process that ends now, whatever its threads are at: waits for a rename in progress, then
// removes everything staged and keeps what is staged from ever being renamed. Thread-safe.
// Afterwards the process must exit without returning to the work (OutputsAbandoned tells other
// threads).
void AbandonOutputs();
bool OutputsAbandoned();

// Writes `text` through a StagedFile.
void WriteTextFile(const std::filesystem::path& target, std::string_view text, IfExists if_exists);
// Reads a whole regular file of at most `max_bytes`.
std::string ReadTextFile(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{1} << 30);

}  // namespace moefy
