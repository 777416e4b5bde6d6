#include "bench/machine.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "moefy/base/strings.h"

namespace moefy::bench {
namespace {

constexpr int64_t kAssumedCacheBytes = int64_t{32} << 20;

// The file that holds a function, links followed; "" when there is none.
std::string ProviderOf(void* function) {
  Dl_info info;
  if (!function || dladdr(function, &info) == 0 || !info.dli_fname) return "";
  std::error_code ignored;
  const std::filesystem::path real = std::filesystem::canonical(info.dli_fname, ignored);
  return ignored ? info.dli_fname : real.string();
}

// A line of the system's account of this process; 0 without it.
int64_t StatusBytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key, 0) == 0) return std::stoll(line.substr(key.size())) * 1024;
  }
  return 0;
}

}  // namespace

std::string CpuName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    return Trim(line.substr(std::min(line.size(), line.find(':') + 1)));
  }
  return "unknown CPU";
}

int64_t LastLevelCacheBytes() {
  // Not sysconf: on virtual machines it counts caches of cores that are not ours.
  int64_t kilobytes = 0;
  for (int level = 0; level < 8; ++level) {
    std::ifstream file(StrCat("/sys/devices/system/cpu/cpu0/cache/index", level, "/size"));
    int64_t size = 0;
    char unit = 0;
    if (file >> size >> unit && unit == 'K') kilobytes = std::max(kilobytes, size);
  }
  return kilobytes > 0 ? kilobytes * 1024 : kAssumedCacheBytes;
}

int64_t PeakMemoryBytes() { return StatusBytes("VmHWM:"); }

MemoryInUse CurrentMemory() { return {StatusBytes("RssAnon:"), StatusBytes("RssFile:")}; }

std::string BlasFile() { return ProviderOf(dlsym(RTLD_DEFAULT, "sgemm_")); }

std::string BlasWarning() {
  const std::string provider = BlasFile();
  if (provider.empty()) return "";  // linked in statically: LibTorch's own build
  using Parallelism = int (*)();
  constexpr int kOpenBlasPthreads = 1;
  const char* const hint = "; apt-get install libopenblas0-openmp";
  if (provider.find("openblas") != std::string::npos) {
    const auto parallelism =
        reinterpret_cast<Parallelism>(dlsym(RTLD_DEFAULT, "openblas_get_parallel"));
    if (!parallelism || parallelism() != kOpenBlasPthreads) return "";
    return StrCat("LibTorch multiplies through OpenBLAS with threads of its own (", provider,
                  "), which fight with LibTorch's", hint);
  }
  for (const char* fast : {"mkl", "blis", "armpl", "torch"}) {
    if (provider.find(fast) != std::string::npos) return "";
  }
  return StrCat("LibTorch multiplies through the slow reference BLAS (", provider, ")", hint);
}

void UseThreads(int count) {
  at::set_num_threads(
      count > 0 ? count : static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
}

int NumThreads() { return at::get_num_threads(); }

std::string LibTorchVersion() { return TORCH_VERSION; }

int64_t MemoryBytes() {
  const long num_pages = ::sysconf(_SC_PHYS_PAGES), page_bytes = ::sysconf(_SC_PAGESIZE);
  return num_pages > 0 && page_bytes > 0 ? int64_t{num_pages} * page_bytes : 0;
}

ThreadCount::ThreadCount() : before_(at::get_num_threads()) {}
ThreadCount::~ThreadCount() { at::set_num_threads(before_); }

int ThreadCount::Set(int count) const {
  UseThreads(count);
  return at::get_num_threads();
}

}  // namespace moefy::bench
