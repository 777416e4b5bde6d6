#include "bench/machine_advice.h"

#include <algorithm>

#include "model/blas_core.h"
#include "moefy/base/strings.h"

namespace moefy::bench {

std::vector<Advice> GiveAdvice(const MachineFacts& facts, int64_t wanted_bytes) {
  std::vector<Advice> advice;
  const auto add = [&](const char* about, const std::string& found, const std::string& remedy) {
    advice.push_back({about, found, remedy});
  };
  if (!facts.blas_warning.empty()) {
    // "what was found; what to install"
    const size_t end = facts.blas_warning.rfind("; ");
    add("blas", facts.blas_warning.substr(0, end), facts.blas_warning.substr(end + 2));
  }
  if (const std::string faster = model::FasterBlasCore(facts.blas_kernels, facts.blas_processor);
      !faster.empty()) {
    add("blas_kernels",
        StrCat("OpenBLAS multiplies with its kernels for ", facts.blas_kernels,
               ", which are slow here"),
        StrCat("unset OPENBLAS_CORETYPE, or set it to ", faster));
  }
  if (facts.processors > 0 && facts.threads > facts.processors) {
    add("threads",
        StrCat(facts.threads, " threads compute on ", facts.processors,
               " processors, and wait for each other"),
        StrCat("--threads ", facts.processors));
  }
  if (facts.processors_allowed > 0 &&
      static_cast<double>(facts.threads) > facts.processors_allowed) {
    const int64_t whole = std::max<int64_t>(1, static_cast<int64_t>(facts.processors_allowed));
    add("threads_allowed",
        StrCat("this container may use the time of ", FormatFixed(facts.processors_allowed, 1),
               " processors, and ", facts.threads, " threads share it"),
        StrCat("--threads ", whole, ", or give the container more"));
  }
  constexpr double kBusy = 0.25;
  if (facts.busy_share > kBusy) {
    add("busy",
        StrCat("other programs used ", FormatFixed(100 * facts.busy_share, 0),
               " % of the processors' time while this command looked"),
        "wait until they are done, above all before you measure");
  }
  if (facts.wait_policy == "passive" || facts.wait_policy == "PASSIVE") {
    add("wait_policy",
        "OMP_WAIT_POLICY=passive: waking a thread costs more than short work on it takes",
        "unset OMP_WAIT_POLICY, unless the machine is busy");
  }
  if (facts.governor == "powersave" || facts.governor == "conservative") {
    add("governor",
        StrCat("the frequency governor is ", facts.governor, ", which may keep the processor slow"),
        "cpupower frequency-set --governor performance (as root)");
  }
  if (facts.instruction_set.starts_with("AVX") && facts.byte_products.empty()) {
    add("byte_products",
        "the processor has no VNNI: INT8 and INT4 take several instructions where one would do",
        "none but another processor; expect less of INT8 than docs/performance.md has");
  }
  int64_t free = facts.free_bytes;
  if (facts.memory_limit_bytes >= 0) free = std::min(free, facts.memory_limit_bytes);
  if (wanted_bytes > 0 && free >= 0 && free < wanted_bytes) {
    add("memory",
        StrCat("the model takes ", FormatBytes(static_cast<uint64_t>(wanted_bytes)),
               " in F32, and ", FormatBytes(static_cast<uint64_t>(free)), " are free"),
        "free memory; or moefy pack the model where there is more, and run that");
  }
  if (facts.nvidia_gpu && facts.gpus == 0) {
    add("gpu", "there is an NVIDIA GPU, and this LibTorch cannot use it",
        "build with a LibTorch that has CUDA; docs/install.md says how");
  }
  return advice;
}

}  // namespace moefy::bench
