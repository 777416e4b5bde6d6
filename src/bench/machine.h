// The machine that this program runs on, as far as speed depends on it. Thread-safety: pure
// functions, but for UseThreads and ThreadCount, which set the whole process.
#pragma once

#include <cstdint>
#include <string>

namespace moefy::bench {

std::string CpuName();          // "AMD EPYC 9654", or "unknown CPU"
int64_t LastLevelCacheBytes();  // 32 MB if the system does not say

int64_t MemoryBytes();          // of the machine; 0: unknown
std::string LibTorchVersion();  // "1.13.1"

int64_t PeakMemoryBytes();  // the most this process has had in memory so far; 0: unknown

// What this process has in memory now; 0: unknown.
struct MemoryInUse {
  int64_t own_bytes = 0;
  int64_t mapped_bytes = 0;  // pages of files, which the system may take back
};
MemoryInUse CurrentMemory();

// The file of the library that LibTorch multiplies matrices through; "": it is not to be seen.
std::string BlasFile();

// One sentence that says what was found and what to install, if LibTorch multiplies matrices
// through a slow library. "": it uses OpenBLAS with OpenMP threads, or MKL, or BLIS.
std::string BlasWarning();

// Computes with `count` threads from here on. 0: one per processor of this process. LibTorch's own
// default need not be that: on some virtual machines it takes two cores for one.
void UseThreads(int count);
int NumThreads();  // that are computed with

// Sets the process's thread count, and puts the old one back at the end.
class ThreadCount {
 public:
  ThreadCount();
  ~ThreadCount();
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;
  // Calls UseThreads(count) and returns how many threads that is.
  int Set(int count) const;

 private:
  int before_;
};

}  // namespace moefy::bench
