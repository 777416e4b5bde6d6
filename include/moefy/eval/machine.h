// What this program runs on, as far as speed depends on it. Thread-safety: pure functions, but for
// UseThreads, which sets the whole process.
#pragma once

#include <cstdint>
#include <string>

namespace moefy::eval {

std::string CpuName();          // "AMD EPYC 9654", or "unknown CPU"
int64_t LastLevelCacheBytes();  // 32 MB where the system does not say

int64_t PeakMemoryBytes();  // the most this process has had in memory so far; 0: unknown

// "" when LibTorch multiplies matrices through OpenBLAS with OpenMP threads (or MKL or BLIS), else
// one sentence: what was found and what to install.
std::string BlasWarning();

// Computes with `count` threads from here on; 0: one per processor.
void UseThreads(int count);

}  // namespace moefy::eval
