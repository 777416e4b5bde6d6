#include "base/output.h"

#include <algorithm>
#include <span>

#include "base/content_hint.h"
#include "base/file.h"
#include "base/input_watch.h"
#include "base/output_places.h"
#include "base/own_output.h"
#include "base/staging.h"
#include "moefy/base/error.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

void SyncTree(const fs::path& root) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_symlink()) continue;
    if (entry.is_directory()) {
      SyncDirectory(entry.path());
    } else if (entry.is_regular_file()) {
      File::Open(entry.path()).Sync();
    }
  }
  SyncDirectory(root);
}

bool LiesInStaged(const fs::path& target) {
  return std::ranges::any_of(target, [](const fs::path& p) { return IsStagingName(p.string()); });
}

// Locks the target's place, if it may be written, where nobody has: the caller of kRenew has, and
// what is staged is a name that nobody else knows.
std::shared_ptr<OutputLock> LockFor(const fs::path& target, Staging::Kind kind, IfExists if_exists,
                                    const InputPaths& inputs) {
  if (if_exists == IfExists::kRenew || LiesInStaged(target)) return nullptr;
  const fs::path normal = NormalTarget(target);
  CheckTarget(normal, kind, if_exists, inputs);
  return LockOutput(normal);
}

// Returns the target's normal name once it is known to be free.
fs::path FreeTarget(const fs::path& target, Staging::Kind kind, IfExists if_exists,
                    const InputPaths& inputs) {
  fs::path normal = NormalTarget(target);
  CleanUpFor(normal);  // comes first, because it may put an old output back
  CheckTarget(normal, kind, if_exists, inputs);
  return normal;
}

fs::path ScratchTarget(std::string_view name) {
  std::error_code code;
  fs::path target = fs::temp_directory_path(code) / name;
  if (code) throw SystemError(code.value(), "the directory for temporary files (TMPDIR)");
  CleanUpFor(target);
  return target;
}

}  // namespace

StagedDirectory::StagedDirectory(fs::path target, IfExists if_exists, const InputPaths& inputs)
    : lock_(LockFor(target, Staging::Kind::kDirectory, if_exists, inputs)),
      target_(FreeTarget(target, Staging::Kind::kDirectory, if_exists, inputs)),
      if_exists_(if_exists),
      staging_(target_, Staging::Kind::kDirectory) {}

void StagedDirectory::Commit() {
  ThrowIfInputsChanged();
  WriteOutputMarker(path());
  SyncTree(path());
  const bool replace = if_exists_ != IfExists::kRefuse;
  // Something may have been put there meanwhile.
  if (replace) CheckExisting(target_, Staging::Kind::kDirectory, if_exists_);
  staging_.Publish(replace);
  lock_.reset();
}

StagedFile::StagedFile(fs::path target, IfExists if_exists, const InputPaths& inputs)
    : lock_(LockFor(target, Staging::Kind::kFile, if_exists, inputs)),
      target_(FreeTarget(target, Staging::Kind::kFile, if_exists, inputs)),
      if_exists_(if_exists),
      staging_(target_, Staging::Kind::kFile) {}

void StagedFile::Commit() {
  ThrowIfInputsChanged();
  File::Open(path()).Sync();
  const bool replace = if_exists_ != IfExists::kRefuse;
  if (replace) CheckExisting(target_, Staging::Kind::kFile, if_exists_);
  staging_.Publish(replace);
  lock_.reset();
}

ScratchDirectory::ScratchDirectory(std::string_view name)
    : staging_(ScratchTarget(name), Staging::Kind::kDirectory) {}

void CheckOutput(const fs::path& target, Staging::Kind kind, IfExists if_exists,
                 const InputPaths& inputs) {
  CheckTarget(NormalTarget(target), kind, if_exists, inputs);
}

void WriteTextFile(const fs::path& target, std::string_view text, IfExists if_exists) {
  StagedFile staged(target, if_exists);
  File::Create(staged.path()).WriteAt(0, std::as_bytes(std::span(text)));
  staged.Commit();
}

std::string ReadTextFile(const fs::path& path, uint64_t max_bytes) {
  const File file = File::Open(path);
  if (file.size() > max_bytes) {
    throw InputError(path, ": has ", FormatBytes(file.size()), "; at most ", FormatBytes(max_bytes),
                     " are read");
  }
  std::string text(file.size(), '\0');
  file.ReadAt(0, std::as_writable_bytes(std::span(text)));
  if (IsLfsPointer(text)) throw InputError(path, ": cannot be read", ContentHint(text));
  return text;
}

}  // namespace moefy
