// Output that appears whole or not at all: it is written beside its target, synced, then renamed.
// What stood at the target is removed only if moefy made it (base/own_output.h), and an output may
// never be, hold or lie in what the command reads. While it is made its place is locked
// (base/output_lock.h), but for kRenew, whose caller has locked the place around it.
// Thread-safety: one owner; AbandonOutputs may be called from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/output_lock.h"
#include "moefy/base/if_exists.h"

namespace moefy {

// What a command reads: files, and directories that it reads as a whole. Empty paths and paths to
// nothing do not count.
using InputPaths = std::vector<std::filesystem::path>;

// A name beside the target under which an output is made. It is locked while its process lives, so
// that later processes can tell and remove what killed ones left (TakeOutputNotes says so).
class Staging {
 public:
  enum class Kind { kFile, kDirectory };

  Staging(const std::filesystem::path& target, Kind kind);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // Renames to the target. With `replace` it takes the place of what is there, without it only a
  // free place. At every moment the target is the old output or the new one.
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

  // Adds the marker, syncs every file, then renames. On failure the old target stays. A mapped
  // input that changed meanwhile is a failure (base/input_watch.h).
  void Commit();

 private:
  std::shared_ptr<OutputLock> lock_;
  std::filesystem::path target_;
  IfExists if_exists_;
  Staging staging_;
};

// One file under construction, treated alike.
class StagedFile {
 public:
  StagedFile(std::filesystem::path target, IfExists if_exists, const InputPaths& inputs = {});
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  const std::filesystem::path& path() const { return staging_.path(); }
  void Commit();

 private:
  std::shared_ptr<OutputLock> lock_;
  std::filesystem::path target_;
  IfExists if_exists_;
  Staging staging_;
};

// A directory among the system's temporary files, which is removed with its owner.
class ScratchDirectory {
 public:
  explicit ScratchDirectory(std::string_view name);
  const std::filesystem::path& path() const { return staging_.path(); }

 private:
  Staging staging_;
};

// Throws what the constructors above throw about `target`, without creating anything: called
// before long work whose result would have no place to go.
void CheckOutput(const std::filesystem::path& target, Staging::Kind kind, IfExists if_exists,
                 const InputPaths& inputs = {});

// Throws Error{kUsage} when `target` is, holds or lies in one of `inputs`.
void CheckApart(const std::filesystem::path& target, const InputPaths& inputs);

// Whether `name` is one that a Staging makes, of whatever target.
bool IsStagingName(std::string_view name);

// Sentences for people about what was removed or put back after earlier processes. Each comes once.
std::vector<std::string> TakeOutputNotes();

// For a process that ends now, whatever its threads are doing: waits for a rename in progress, then
// removes everything staged and prevents all further renames. Thread-safe. Afterwards the process
// must exit without returning to the work (OutputsAbandoned tells other threads).
void AbandonOutputs();
bool OutputsAbandoned();

// Writes `text` through a StagedFile.
void WriteTextFile(const std::filesystem::path& target, std::string_view text, IfExists if_exists);
// Reads a whole regular file of at most `max_bytes`.
std::string ReadTextFile(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{1} << 30);

}  // namespace moefy
