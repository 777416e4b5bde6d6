#include "base/output_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <fstream>
#include <limits>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>
#include <utility>

#include "base/json.h"
#include "base/output_places.h"
#include "base/staging.h"
#include "moefy/base/error.h"
#include "moefy/base/progress.h"

namespace moefy {

namespace fs = std::filesystem;

class OutputLock {
 public:
  OutputLock(fs::path file, int descriptor) : file_(std::move(file)), descriptor_(descriptor) {}
  ~OutputLock() {
    ForgetAtExit(file_);
    std::error_code ignored;
    fs::remove(file_, ignored);  // before it is let go: who opens it from now on opens another
    ::close(descriptor_);
  }
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;

 private:
  fs::path file_;
  int descriptor_;
};

namespace {

constexpr auto kPause = std::chrono::milliseconds(100);  // between two tries

// The locks that this process has, by their files.
struct OwnLocks {
  std::mutex mutex;
  std::map<fs::path, std::weak_ptr<OutputLock>> by_file;
  std::function<void(const std::string&)> say;  // empty: locks that others have are errors

  static OwnLocks& Instance() {
    static auto* instance = new OwnLocks;  // never destroyed: locks may outlive it
    return *instance;
  }
};

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

// "moefy split CKPT --out OUT", as it was typed.
std::string CommandLine() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  while (text.ends_with('\0')) text.pop_back();
  return Shortened(ReplaceAll(std::move(text), std::string(1, '\0'), " "), 500);
}

std::string Now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  char text[32] = {};
  ::gmtime_r(&now, &utc);
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &utc);
  return text;
}

// Writes who has the lock. A failure costs the description alone.
void Describe(int descriptor) {
  const Json owner = {
      {"pid", ::getpid()}, {"host", HostName()}, {"since", Now()}, {"command", CommandLine()}};
  const std::string text = owner.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (::ftruncate(descriptor, 0) != 0) return;
  // Another client of an NFS server sees it once it is synced.
  if (::pwrite(descriptor, text.data(), text.size(), 0) > 0) ::fsync(descriptor);
}

// "process 4711 on node3, since 2026-11-30 14:47:06 UTC (moefy convert r.json --out out)"
std::string Holder(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  try {
    const Json json = ParseJson(text.str());
    const JsonObject owner(json, "");
    return StrCat("process ", owner.GetInt("pid", 0, std::numeric_limits<int64_t>::max()), " on ",
                  owner.GetString("host"), ", since ", owner.GetString("since"), " (",
                  owner.GetString("command"), ")");
  } catch (const Error&) {
    return "another process";  // which has not said yet who it is
  }
}

enum class Try { kLocked, kHeld, kGone, kNoLocks };

// Whether the descriptor has the lock of the file that stands under the name now.
Try TryToLock(int descriptor, const fs::path& file) {
  struct flock wanted = {};
  wanted.l_type = F_WRLCK;
  wanted.l_whence = SEEK_SET;
  if (::fcntl(descriptor, F_OFD_SETLK, &wanted) != 0) {
    if (errno == EACCES || errno == EAGAIN) return Try::kHeld;
    return errno == ESTALE ? Try::kGone : Try::kNoLocks;
  }
  struct stat locked, named;
  if (::fstat(descriptor, &locked) != 0 || ::lstat(file.c_str(), &named) != 0 ||
      locked.st_ino != named.st_ino || locked.st_dev != named.st_dev) {
    return Try::kGone;
  }
  return Try::kLocked;
}

// The descriptor with the lock of `file`, or -1 where none can be had.
int Acquire(const fs::path& file, const fs::path& target) {
  std::string said;
  for (;;) {
    const int descriptor =
        ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (descriptor < 0) return -1;
    const Try tried = TryToLock(descriptor, file);
    if (tried == Try::kLocked) {
      RemoveAtExit(file);
      Describe(descriptor);
      return descriptor;
    }
    ::close(descriptor);
    if (tried == Try::kGone) continue;  // its holder removed it meanwhile
    if (tried == Try::kNoLocks) {
      std::error_code ignored;
      fs::remove(file, ignored);
      return -1;
    }
    const std::string held = StrCat(target, ": ", Holder(file), " is at work on it");
    const auto& say = OwnLocks::Instance().say;
    if (!say) {
      throw SystemError(0, held, "; wait for it by --wait, or choose another place");
    }
    if (held != said) say(held + "; waiting for it to end");
    said = held;
    ThrowIfInterrupted();
    std::this_thread::sleep_for(kPause);
  }
}

std::shared_ptr<OutputLock> Lock(const fs::path& file, const fs::path& target) {
  std::error_code ignored;
  const fs::path key = fs::weakly_canonical(fs::absolute(file, ignored), ignored);
  OwnLocks& own = OwnLocks::Instance();
  const std::lock_guard guard(own.mutex);
  if (auto lock = own.by_file[key].lock()) return lock;
  const int descriptor = Acquire(file, target);
  if (descriptor < 0) return nullptr;
  auto lock = std::make_shared<OutputLock>(file, descriptor);
  own.by_file[key] = lock;
  return lock;
}

}  // namespace

std::shared_ptr<OutputLock> LockOutput(const fs::path& target) {
  return Lock(LockFileFor(NormalTarget(target)), target);
}

std::shared_ptr<OutputLock> LockDirectory(const fs::path& directory) {
  return Lock(directory / kLockFile, directory);
}

void WaitForOutputs(std::function<void(const std::string&)> say) {
  OwnLocks::Instance().say = std::move(say);
}

}  // namespace moefy
