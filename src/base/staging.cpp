#include "base/staging.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

#include "base/file.h"
#include "base/output_lock.h"
#include "base/output_places.h"
#include "moefy/base/error.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = ".moefy-";
constexpr std::string_view kOldMark = ".moefy-old-";  // marks a target that stepped aside
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
constexpr size_t kNumLetters = 6;

// Every staging path in use. Those that are left when the process exits without unwinding (by
// std::exit) are removed then.
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
  void RemoveAll() {
    const std::lock_guard lock(mutex_);
    std::error_code ignored;
    for (const auto& [path, owner] : paths_) {
      if (owner == ::getpid()) fs::remove_all(path, ignored);
    }
  }

 private:
  LivePaths() {
    std::atexit([] { Instance().RemoveAll(); });
  }

  std::mutex mutex_;
  std::map<fs::path, pid_t> paths_;  // a forked child that exits must not remove its parent's
};

// The mutex is locked while something staged takes its final name, and for good by AbandonOutputs.
std::mutex& RenameMutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}
std::atomic<bool> abandoned{false};

class Notes {
 public:
  static Notes& Instance() {
    static Notes notes;
    return notes;
  }
  void Add(std::string note) {
    const std::lock_guard lock(mutex_);
    notes_.push_back(std::move(note));
  }
  std::vector<std::string> Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(notes_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> notes_;
};

// "." + the target's name, cut so that a file name's 255 bytes are enough.
std::string StemOf(const fs::path& target) {
  constexpr size_t kMaxNameBytes = 200;
  return "." + target.filename().string().substr(0, kMaxNameBytes);
}

fs::path RandomSibling(const fs::path& target, std::string_view mark) {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  std::string name = StemOf(target) + std::string(mark);
  for (size_t i = 0; i < kNumLetters; ++i) name += kLetters[random() % kLetters.size()];
  return target.parent_path() / name;
}

// Whether `rest` is a mark and as many letters as RandomSibling adds.
bool IsMarked(std::string_view rest, std::string_view mark) {
  return rest.starts_with(mark) && rest.size() == mark.size() + kNumLetters &&
         rest.find_first_not_of(kLetters, mark.size()) == std::string_view::npos;
}

// Returns a descriptor that holds the lock of `path`, or -1 and errno: another process has the lock
// (EWOULDBLOCK), the path is gone (ENOENT), or the file system has no locks.
int TryLock(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return -1;
  int error = 0;
  struct stat locked, named;
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    error = errno;
  } else if (::fstat(descriptor, &locked) != 0 || ::lstat(path.c_str(), &named) != 0 ||
             locked.st_ino != named.st_ino || locked.st_dev != named.st_dev) {
    error = ENOENT;  // another file stands there now
  }
  if (error == 0) return descriptor;
  ::close(descriptor);
  errno = error;
  return -1;
}

void RemoveStale(const fs::path& path, const fs::path& target) {
  const int lock = TryLock(path);
  if (lock < 0) return;  // the process lives, or nobody can tell
  std::error_code code;
  fs::remove_all(path, code);
  ::close(lock);
  if (!code) {
    Notes::Instance().Add(
        StrCat("removed ", path, ", left by an earlier run for ", target, " that was killed"));
  }
}

// Puts an old output back whose process was killed between the two renames that replace an exchange
// of names.
void PutBack(const fs::path& old, const fs::path& target) {
  std::error_code code;
  if (fs::exists(fs::symlink_status(target, code))) {
    fs::remove_all(old, code);  // the new output had taken its place
    return;
  }
  if (::renameat2(AT_FDCWD, old.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) == 0 ||
      ((errno == EINVAL || errno == ENOSYS) && ::rename(old.c_str(), target.c_str()) == 0)) {
    Notes::Instance().Add(StrCat("put ", target, " back, which a killed run had moved to ", old));
  }
}

void Rename(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    throw SystemError(errno, from, ": cannot be renamed to ", to);
  }
}

// Renames only if nothing has come into being under the new name.
void RenameNew(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return;
  if (errno == EEXIST) throw UsageError("output ", to, " exists already; --force replaces it");
  if (errno != EINVAL && errno != ENOSYS) {
    throw SystemError(errno, from, ": cannot be renamed to ", to);
  }
  CheckExisting(to, Staging::Kind::kFile, IfExists::kRefuse);  // a file system without the flag
  Rename(from, to);
}

// Puts the new directory under the target's name and the old one under the name returned, in one
// step where the file system can.
fs::path ExchangeDirectories(const fs::path& staging, const fs::path& target) {
  if (::renameat2(AT_FDCWD, staging.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    return staging;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    throw SystemError(errno, staging, ": cannot be renamed to ", target);
  }
  // A file system without the flag: the old one steps aside, and CleanUpFor knows its name.
  const fs::path old = RandomSibling(target, kOldMark);
  Rename(target, old);
  try {
    Rename(staging, target);
  } catch (...) {
    Rename(old, target);
    throw;
  }
  return old;
}

}  // namespace

void CleanUpFor(const fs::path& target) {
  const std::string stem = StemOf(target);
  const fs::path parent = target.parent_path();
  std::vector<fs::path> staged, old;
  std::error_code ignored;
  for (fs::directory_iterator it(parent.empty() ? "." : parent, ignored), end; it != end;
       it.increment(ignored)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(stem)) continue;
    const std::string_view rest = std::string_view(name).substr(stem.size());
    if (IsMarked(rest, kMark)) staged.push_back(parent / name);
    if (IsMarked(rest, kOldMark)) old.push_back(parent / name);
  }
  for (const fs::path& path : old) PutBack(path, target);
  for (const fs::path& path : staged) RemoveStale(path, target);
}

void RemoveOutput(const fs::path& target) {
  CleanUpFor(target);
  const fs::path aside = RandomSibling(target, kMark);
  if (::rename(target.c_str(), aside.c_str()) != 0) return;
  std::error_code ignored;
  fs::remove_all(aside, ignored);
}

fs::path LockFileFor(const fs::path& target) {
  return target.parent_path() / (StemOf(target) + kLockFile);
}

void RemoveAtExit(const fs::path& path) { LivePaths::Instance().Add(path); }
void ForgetAtExit(const fs::path& path) { LivePaths::Instance().Forget(path); }

Staging::Staging(const fs::path& target, Kind kind) : target_(target) {
  // mkdtemp and mkstemp would do, but they ignore the umask.
  const auto create = [&](const fs::path& path) {
    if (kind == Kind::kDirectory) return ::mkdir(path.c_str(), 0777) == 0;
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return descriptor >= 0 && ::close(descriptor) == 0;
  };
  for (;;) {
    path_ = RandomSibling(target, kMark);
    LivePaths::Instance().Add(path_);
    if (create(path_)) {
      lock_ = TryLock(path_);
      if (lock_ >= 0 || (errno != EWOULDBLOCK && errno != ENOENT)) return;
      // Another process took it for an abandoned one before it was locked.
      LivePaths::Instance().Forget(path_);
      continue;
    }
    const int error = errno;
    LivePaths::Instance().Forget(path_);
    if (error != EEXIST) throw SystemError(error, "output ", target, " cannot be created");
  }
}

Staging::~Staging() {
  if (!path_.empty()) {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    LivePaths::Instance().Forget(path_);
  }
  if (lock_ >= 0) ::close(lock_);
}

void Staging::Publish(bool replace) {
  MOEFY_CHECK(!path_.empty());
  std::error_code code;
  const bool is_directory = fs::is_directory(path_, code);
  fs::path old;
  {
    const std::lock_guard lock(RenameMutex());
    if (!replace || (is_directory && !IsPresent(target_))) {
      RenameNew(path_, target_);
    } else if (is_directory) {
      old = ExchangeDirectories(path_, target_);
    } else {
      Rename(path_, target_);
    }
    if (old != path_) LivePaths::Instance().Forget(path_);
    if (old.empty()) path_.clear();
  }
  if (!old.empty()) {
    fs::remove_all(old, code);
    LivePaths::Instance().Forget(path_);
    path_.clear();
  }
  const fs::path parent = target_.parent_path();
  SyncDirectory(parent.empty() ? "." : parent);
  if (code) {
    throw SystemError(code.value(), "output ", target_, " is complete, but what it replaced, ", old,
                      ", cannot be removed");
  }
}

bool IsStagingName(std::string_view name) {
  for (const std::string_view mark : {kMark, kOldMark}) {
    const size_t length = mark.size() + kNumLetters;
    if (name.starts_with('.') && name.size() > length &&
        IsMarked(name.substr(name.size() - length), mark)) {
      return true;
    }
  }
  return false;
}

std::vector<std::string> TakeOutputNotes() { return Notes::Instance().Take(); }

void AbandonOutputs() {
  RenameMutex().lock();  // never given back: nothing is renamed any more
  abandoned = true;
  // Threads that still write may add files while the directory goes.
  for (int attempt = 0; attempt < 5; ++attempt) {
    LivePaths::Instance().RemoveAll();
    if (attempt < 4) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

bool OutputsAbandoned() { return abandoned; }

}  // namespace moefy
