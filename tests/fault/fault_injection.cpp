// Loaded in front of the C library (LD_PRELOAD), so that a chosen call on files below one directory
// fails, is cut short, or finds the process killed, stopped or stuck. In the environment:
//
//   FAULT_UNDER=DIR        only calls on files below DIR count
//   FAULT=CALL:N:ACTION    what the Nth call of a kind does instead of (or after) its work
//   FAULT_COUNTS=FILE      how many calls of each kind there were, added when a process exits
//   FAULT_CLOCK=SECONDS    the time of day is that much ahead and that much behind, by turns
//
// Actions: kill (before the call), after (kill after it), short (half of the bytes), stop (SIGSTOP
// before the call), stall (never returns), or the name of an error that the call fails with.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "fault_environment.h"

namespace {

enum Call { kCreate, kWrite, kSync, kRename, kMakeDirectory, kLink, kRemove, kReserve, kNumCalls };
constexpr std::array<const char*, kNumCalls> kNames = {"create", "write", "sync",   "rename",
                                                       "mkdir",  "link",  "remove", "reserve"};

struct NamedError {
  const char* name;
  int number;
};
constexpr NamedError kErrors[] = {
    {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}};

struct Fault {
  std::string under, action;
  int call = -1, number = 0;
  int64_t clock_jump = 0;
  std::array<std::atomic<int>, kNumCalls> counts{};

  Fault() { Read(); }
  void Read() {
    for (auto& count : counts) count = 0;
    const char* directory = std::getenv("FAULT_UNDER");
    under = directory ? directory : "";
    const char* jump = std::getenv("FAULT_CLOCK");
    clock_jump = jump ? std::atol(jump) : 0;
    const char* text = std::getenv("FAULT");
    call = -1;
    if (!text) return;
    const std::string spec = text;
    const size_t first = spec.find(':'), second = spec.find(':', first + 1);
    for (int i = 0; i < kNumCalls; ++i) {
      if (spec.substr(0, first) == kNames[i]) call = i;
    }
    number = std::atoi(spec.substr(first + 1, second - first - 1).c_str());
    action = spec.substr(second + 1);
  }
  void WriteCounts() const {
    const char* path = std::getenv("FAULT_COUNTS");
    std::FILE* file = path ? std::fopen(path, "a") : nullptr;
    if (!file) return;
    for (int i = 0; i < kNumCalls; ++i) std::fprintf(file, "%s %d\n", kNames[i], counts[i].load());
    std::fclose(file);
  }
};

Fault& TheFault() {
  static Fault fault;
  return fault;
}

bool IsUnder(const char* path) {
  const std::string& under = TheFault().under;
  if (under.empty() || !path) return false;
  if (path[0] == '/') return std::strncmp(path, under.c_str(), under.size()) == 0;
  char directory[4096];
  return ::getcwd(directory, sizeof directory) &&
         std::strncmp(directory, under.c_str(), under.size()) == 0;
}

bool IsUnder(int descriptor) {
  char name[64], path[4096];
  std::snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
  const ssize_t size = ::readlink(name, path, sizeof path - 1);
  if (size <= 0) return false;
  path[size] = 0;
  return IsUnder(path);
}

// What the call is to do.
enum class Verdict { kWork, kFail, kShort, kDieAfter };

Verdict Decide(Call call, bool counts) {
  if (!counts) return Verdict::kWork;
  Fault& fault = TheFault();
  const int number = ++fault.counts[call];
  if (call != fault.call || number != fault.number) return Verdict::kWork;
  if (fault.action == "kill") ::kill(::getpid(), SIGKILL);
  if (fault.action == "stop") ::kill(::getpid(), SIGSTOP);
  while (fault.action == "stall") ::sleep(1000);
  if (fault.action == "after") return Verdict::kDieAfter;
  if (fault.action == "short") return Verdict::kShort;
  for (const NamedError& error : kErrors) {
    if (fault.action != error.name) continue;
    errno = error.number;
    return Verdict::kFail;
  }
  return Verdict::kWork;
}

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

// Runs the real call as the verdict has it.
template <typename Work>
auto Act(Call call, bool counts, const Work& work) -> decltype(work(false)) {
  const Verdict verdict = Decide(call, counts);
  if (verdict == Verdict::kFail) return -1;
  const auto result = work(verdict == Verdict::kShort);
  if (verdict == Verdict::kDieAfter) ::kill(::getpid(), SIGKILL);
  return result;
}

size_t Half(size_t size, bool is_short) { return is_short && size > 1 ? size / 2 : size; }

int Open(const char* name, const char* path, int flags, mode_t mode) {
  static const auto real = Real<int (*)(const char*, int, ...)>("open");
  (void)name;
  return Act(kCreate, (flags & O_CREAT) && IsUnder(path),
             [&](bool) { return real(path, flags, mode); });
}

}  // namespace

void ReadFaultEnvironment() { TheFault().Read(); }

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return Open("open", path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return Open("open64", path, flags, mode);
}
ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t offset) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return Act(kWrite, IsUnder(descriptor),
             [&](bool is_short) { return real(descriptor, bytes, Half(size, is_short), offset); });
}
ssize_t write(int descriptor, const void* bytes, size_t size) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t)>("write");
  return Act(kWrite, descriptor > 2 && IsUnder(descriptor),
             [&](bool is_short) { return real(descriptor, bytes, Half(size, is_short)); });
}
ssize_t writev(int descriptor, const struct iovec* parts, int count) {
  static const auto real = Real<ssize_t (*)(int, const struct iovec*, int)>("writev");
  return Act(kWrite, descriptor > 2 && IsUnder(descriptor),
             [&](bool) { return real(descriptor, parts, count); });
}
int fsync(int descriptor) {
  static const auto real = Real<int (*)(int)>("fsync");
  return Act(kSync, IsUnder(descriptor), [&](bool) { return real(descriptor); });
}
int rename(const char* from, const char* to) {
  static const auto real = Real<int (*)(const char*, const char*)>("rename");
  return Act(kRename, IsUnder(to), [&](bool) { return real(from, to); });
}
int renameat2(int from_directory, const char* from, int to_directory, const char* to,
              unsigned flags) {
  static const auto real = Real<int (*)(int, const char*, int, const char*, unsigned)>("renameat2");
  return Act(kRename, IsUnder(to),
             [&](bool) { return real(from_directory, from, to_directory, to, flags); });
}
int mkdir(const char* path, mode_t mode) {
  static const auto real = Real<int (*)(const char*, mode_t)>("mkdir");
  return Act(kMakeDirectory, IsUnder(path), [&](bool) { return real(path, mode); });
}
int link(const char* from, const char* to) {
  static const auto real = Real<int (*)(const char*, const char*)>("link");
  return Act(kLink, IsUnder(to), [&](bool) { return real(from, to); });
}
int unlinkat(int directory, const char* path, int flags) {
  static const auto real = Real<int (*)(int, const char*, int)>("unlinkat");
  const bool counts = directory == AT_FDCWD ? IsUnder(path) : IsUnder(directory);
  return Act(kRemove, counts, [&](bool) { return real(directory, path, flags); });
}
int remove(const char* path) {
  static const auto real = Real<int (*)(const char*)>("remove");
  return Act(kRemove, IsUnder(path), [&](bool) { return real(path); });
}
int fallocate(int descriptor, int mode, off_t offset, off_t size) {
  static const auto real = Real<int (*)(int, int, off_t, off_t)>("fallocate");
  return Act(kReserve, IsUnder(descriptor),
             [&](bool) { return real(descriptor, mode, offset, size); });
}
// How the program ends.
[[noreturn]] void _Exit(int code) {
  TheFault().WriteCounts();
  ::_exit(code);
}
int clock_gettime(clockid_t clock, struct timespec* now) {
  static const auto real = Real<int (*)(clockid_t, struct timespec*)>("clock_gettime");
  static std::atomic<unsigned> turn{0};
  const int result = real(clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec += (turn++ % 2 ? -1 : 1) * TheFault().clock_jump;
  return result;
}

}  // extern "C"
