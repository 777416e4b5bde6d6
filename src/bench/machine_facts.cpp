#include "bench/machine_facts.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/version.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <thread>

#include "bench/machine.h"
#include "model/blas_core.h"
#include "moefy/base/strings.h"
#include "runtime/instruction_set.h"
#include "runtime/vnni.h"

namespace moefy::bench {
namespace {

using std::filesystem::path;

std::string FirstLineOf(const path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return Trim(line);
}

// A number from a file that holds nothing else; negative if there is none ("max").
int64_t NumberIn(const path& file) {
  const std::string line = FirstLineOf(file);
  if (line.empty() || line.find_first_not_of("0123456789") != std::string::npos) return -1;
  return std::strtoll(line.c_str(), nullptr, 10);
}

// "MemTotal:  24000 kB" in bytes; negative without it.
int64_t MemoryLine(const path& meminfo, const std::string& key) {
  std::ifstream in(meminfo);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(key)) return std::strtoll(line.c_str() + key.size(), nullptr, 10) * 1024;
  }
  return -1;
}

// The control group's directory under `controller` (of version 1; "" is version 2's only one), as
// far as the process sees it.
path ControlGroup(const path& root, const std::string& controller) {
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const std::vector<std::string> parts = Split(line, ':');  // "4:memory:/a/b" or "0::/a/b"
    if (parts.size() < 3 || parts[1] != controller) continue;
    const path top = root / "sys/fs/cgroup" / controller;
    const path inner = top / path(parts[2]).relative_path();
    return std::filesystem::exists(inner) ? inner : top;
  }
  return root / "sys/fs/cgroup" / controller;
}

double ProcessorsAllowed(const path& root) {
  double quota = -1, period = 0;
  std::ifstream two(ControlGroup(root, "") / "cpu.max");
  if (two >> quota >> period && period > 0) return quota / period;
  const path one = ControlGroup(root, "cpu");
  quota = static_cast<double>(NumberIn(one / "cpu.cfs_quota_us"));
  period = static_cast<double>(NumberIn(one / "cpu.cfs_period_us"));
  return quota > 0 && period > 0 ? quota / period : -1;
}

int64_t MemoryLimit(const path& root, int64_t memory_bytes) {
  int64_t limit = NumberIn(ControlGroup(root, "") / "memory.max");
  if (limit < 0) limit = NumberIn(ControlGroup(root, "memory") / "memory.limit_in_bytes");
  return limit < memory_bytes ? limit : -1;  // version 1 says 2^63 for none
}

// What all processors did since they were started, in ticks.
struct Ticks {
  double busy = 0, all = 0;
};
std::optional<Ticks> ReadTicks(const path& root) {
  // "cpu user nice system idle iowait irq softirq steal": a machine's host that steals time counts
  // as somebody who is busy.
  std::ifstream in(root / "proc/stat");
  std::string name;
  if (!(in >> name) || name != "cpu") return std::nullopt;
  Ticks ticks;
  for (int i = 0; i < 8; ++i) {
    double count = 0;
    if (!(in >> count)) return std::nullopt;
    ticks.all += count;
    if (i != 3 && i != 4) ticks.busy += count;
  }
  return ticks;
}

double BusyShare(double seconds, const path& root) {
  const std::optional<Ticks> before = ReadTicks(root);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const std::optional<Ticks> after = ReadTicks(root);
  if (!before || !after || after->all <= before->all) return -1;
  return (after->busy - before->busy) / (after->all - before->all);
}

std::string RealPath(const std::string& file) {
  std::error_code ignored;
  const path real = std::filesystem::canonical(file, ignored);
  return ignored ? file : real.string();
}

// The file of a library that this process has in memory, by the beginning of its name.
std::string LoadedLibrary(const std::string& name) {
  std::ifstream in("/proc/self/maps");
  for (std::string line; std::getline(in, line);) {
    const size_t slash = line.rfind('/');
    if (slash == std::string::npos || line.compare(slash + 1, name.size(), name) != 0) continue;
    return RealPath(line.substr(line.find('/')));
  }
  return "";
}

}  // namespace

MachineFacts ReadMachineFacts(double busy_seconds, const path& root) {
  MachineFacts facts;
  facts.cpu = CpuName();
  facts.instruction_set = runtime::InstructionSet();
  facts.byte_products = runtime::HasAvx512Vnni() ? "AVX512_VNNI" : "";
  if (facts.byte_products.empty() && runtime::HasAvxVnni()) facts.byte_products = "AVX_VNNI";
  facts.blas_processor = model::ThisProcessor();
  facts.last_level_cache_bytes = LastLevelCacheBytes();
  facts.governor = FirstLineOf(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");

  facts.processors = std::thread::hardware_concurrency();
  facts.processors_allowed = ProcessorsAllowed(root);
  facts.threads = at::get_num_threads();
  facts.busy_share = BusyShare(busy_seconds, root);
  if (const char* policy = std::getenv("OMP_WAIT_POLICY")) facts.wait_policy = policy;

  facts.memory_bytes = MemoryLine(root / "proc/meminfo", "MemTotal:");
  facts.free_bytes = MemoryLine(root / "proc/meminfo", "MemAvailable:");
  facts.memory_limit_bytes = MemoryLimit(root, facts.memory_bytes);

  facts.libtorch = StrCat(TORCH_VERSION_MAJOR, ".", TORCH_VERSION_MINOR, ".", TORCH_VERSION_PATCH);
  facts.libtorch_file = LoadedLibrary("libtorch_cpu.so");
  facts.blas = BlasFile();
  facts.blas_kernels = model::BlasCore();
  facts.blas_warning = BlasWarning();
  facts.onednn = LoadedLibrary("libdnnl.so");
  if (facts.onednn.empty() && at::hasMKLDNN()) facts.onednn = facts.libtorch_file;
  facts.gpus = at::hasCUDA() ? static_cast<int64_t>(at::getNumGPUs()) : 0;
  facts.nvidia_gpu = std::filesystem::exists(root / "dev/nvidia0");
  return facts;
}

}  // namespace moefy::bench
