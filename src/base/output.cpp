#include "moefy/base/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <system_error>

#include "moefy/base/content_hint.h"
#include "moefy/base/error.h"
#include "moefy/base/file.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

enum class Kind { kFile, kDirectory };

// Every staging path in use. What is left when the process exits without unwinding (std::exit
// under our feet) is removed then.
class LivePaths {
 public:
  static LivePaths& Instance() {
    static auto* instance = new LivePaths;  // never destroyed: used from atexit
    return *instance;
  }
  void Add(const fs::path& path) {
    const std::lock_guard lock(mutex_);
    paths_[path] = ::getpid();
  }
  void Forget(const fs::path& path) {
    const std::lock_guard lock(mutex_);
    paths_.erase(path);
  }

 private:
  LivePaths() {
    std::atexit([] { Instance().RemoveAll(); });
  }
  void RemoveAll() {
    const std::lock_guard lock(mutex_);
    std::error_code ignored;
    for (const auto& [path, owner] : paths_) {
      if (owner == ::getpid()) fs::remove_all(path, ignored);
    }
  }

  std::mutex mutex_;
  std::map<fs::path, pid_t> paths_;  // a forked child that exits must not remove its parent's
};

// "out/" and "./out" both as "out"; a target that has no name of its own cannot be renamed into.
fs::path NormalTarget(const fs::path& target) {
  fs::path normal = target.lexically_normal();
  if (!normal.has_filename()) normal = normal.parent_path();
  const fs::path name = normal.filename();
  if (name.empty() || name == "." || name == ".." || normal == normal.root_path()) {
    throw UsageError("output ", Quoted(target.string()), " does not name a file or directory");
  }
  return normal;
}

fs::path ParentOf(const fs::path& target) {
  return target.has_parent_path() ? target.parent_path() : fs::path(".");
}

bool IsPresent(const fs::path& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  throw SystemError(errno, path);
}

void CheckParent(const fs::path& target) {
  const fs::path parent = ParentOf(target);
  struct stat status;
  if (::stat(parent.c_str(), &status) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) throw SystemError(errno, parent);
    throw UsageError("output ", target, ": its directory ", Quoted(parent.string()),
                     " does not exist; create it first");
  }
  if (!S_ISDIR(status.st_mode)) {
    throw UsageError("output ", target, ": ", Quoted(parent.string()), " is not a directory");
  }
  if (::access(parent.c_str(), W_OK | X_OK) != 0) {
    throw SystemError(errno, "output ", target, ": its directory ", Quoted(parent.string()),
                      " cannot be written");
  }
}

// Replacing a directory deletes what is in it; nobody means the one they stand in.
bool HoldsWorkingDirectory(const fs::path& directory) {
  std::error_code ignored;
  const fs::path inner = fs::current_path(ignored);
  const fs::path outer = fs::canonical(directory, ignored);
  const auto [end, rest] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return !outer.empty() && end == outer.end();
}

void CheckExisting(const fs::path& target, Kind kind, IfExists if_exists) {
  if (!IsPresent(target)) return;
  if (if_exists == IfExists::kRefuse) {
    throw UsageError("output ", target, " exists already; --force replaces it");
  }
  std::error_code ignored;
  const fs::file_status status = fs::status(target, ignored);  // a dangling link is neither
  if (kind == Kind::kFile && fs::exists(status) && !fs::is_regular_file(status)) {
    throw UsageError("output ", target, " exists and is not a file; it is not replaced");
  }
  if (kind == Kind::kDirectory) {
    if (!fs::is_directory(status)) {
      throw UsageError("output ", target, " exists and is not a directory; it is not replaced");
    }
    if (HoldsWorkingDirectory(target)) {
      throw UsageError("output ", target, " holds the working directory; it is not replaced");
    }
  }
}

fs::path RandomSibling(const fs::path& target) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  constexpr size_t kMaxNameBytes = 200;  // of the target's; a file name has at most 255
  static thread_local std::mt19937_64 random{std::random_device{}()};
  std::string name = "." + target.filename().string().substr(0, kMaxNameBytes) + ".moefy-";
  for (int i = 0; i < 6; ++i) name += kLetters[random() % kLetters.size()];
  return target.parent_path() / name;
}

// Calls create(path) with fresh names until it does not fail with EEXIST. mkdtemp and mkstemp
// would do, but they ignore the umask.
template <typename Create>
fs::path CreateSibling(const fs::path& target, const Create& create) {
  for (;;) {
    const fs::path path = RandomSibling(target);
    LivePaths::Instance().Add(path);
    if (create(path)) return path;
    const int error = errno;
    LivePaths::Instance().Forget(path);
    if (error != EEXIST) throw SystemError(error, "output ", target, " cannot be created");
  }
}

void Rename(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    throw SystemError(errno, from, ": cannot be renamed to ", to);
  }
}

// Like Rename, but never over something that came into being meanwhile.
void RenameNew(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return;
  if (errno == EEXIST) throw UsageError("output ", to, " exists already; --force replaces it");
  if (errno != EINVAL && errno != ENOSYS) {
    throw SystemError(errno, from, ": cannot be renamed to ", to);
  }
  CheckExisting(to, Kind::kFile, IfExists::kRefuse);  // a file system without the flag
  Rename(from, to);
}

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

void Discard(const fs::path& staging) {
  if (staging.empty()) return;
  std::error_code ignored;
  fs::remove_all(staging, ignored);
  LivePaths::Instance().Forget(staging);
}

// rename() does not replace a directory that has entries: the old one steps aside first.
void ReplaceDirectory(const fs::path& staging, const fs::path& target) {
  const fs::path old = RandomSibling(target);
  Rename(target, old);
  try {
    Rename(staging, target);
  } catch (...) {
    Rename(old, target);
    throw;
  }
  std::error_code code;
  fs::remove_all(old, code);
  if (code) {
    throw SystemError(code.value(), "output ", target, " is complete, but what it replaced, ", old,
                      ", cannot be removed");
  }
}

void Check(const fs::path& target, Kind kind, IfExists if_exists) {
  CheckParent(target);
  CheckExisting(target, kind, if_exists);
}

}  // namespace

StagedDirectory::StagedDirectory(fs::path target, IfExists if_exists)
    : target_(NormalTarget(target)), if_exists_(if_exists) {
  Check(target_, Kind::kDirectory, if_exists);
  staging_ =
      CreateSibling(target_, [](const fs::path& path) { return ::mkdir(path.c_str(), 0777) == 0; });
}

StagedDirectory::~StagedDirectory() { Discard(staging_); }

void StagedDirectory::Commit() {
  MOEFY_CHECK(!staging_.empty());
  SyncTree(staging_);
  if (if_exists_ == IfExists::kReplace && IsPresent(target_)) {
    CheckExisting(target_, Kind::kDirectory, if_exists_);
    ReplaceDirectory(staging_, target_);
  } else {
    RenameNew(staging_, target_);
  }
  LivePaths::Instance().Forget(staging_);
  staging_.clear();
  SyncDirectory(ParentOf(target_));
}

StagedFile::StagedFile(fs::path target, IfExists if_exists)
    : target_(NormalTarget(target)), if_exists_(if_exists) {
  Check(target_, Kind::kFile, if_exists);
  staging_ = CreateSibling(target_, [](const fs::path& path) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return descriptor >= 0 && ::close(descriptor) == 0;
  });
}

StagedFile::~StagedFile() { Discard(staging_); }

void StagedFile::Commit() {
  MOEFY_CHECK(!staging_.empty());
  File::Open(staging_).Sync();
  if (if_exists_ == IfExists::kReplace) {
    CheckExisting(target_, Kind::kFile, if_exists_);
    Rename(staging_, target_);
  } else {
    RenameNew(staging_, target_);
  }
  LivePaths::Instance().Forget(staging_);
  staging_.clear();
  SyncDirectory(ParentOf(target_));
}

void CheckOutput(const fs::path& target, IfExists if_exists) {
  const fs::path normal = NormalTarget(target);
  CheckParent(normal);
  if (!IsPresent(normal)) return;
  std::error_code ignored;
  CheckExisting(normal, fs::is_directory(normal, ignored) ? Kind::kDirectory : Kind::kFile,
                if_exists);
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
