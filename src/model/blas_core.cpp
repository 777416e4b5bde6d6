#include "model/blas_core.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <mutex>
#include <optional>

namespace moefy::model {
namespace {

constexpr const char* kCoreVariable = "OPENBLAS_CORETYPE";

// OpenBLAS's kernels that use neither AVX2 nor AVX-512.
constexpr std::string_view kOldCores[] = {"Prescott", "Core2",        "Penryn",   "Dunnington",
                                          "Nehalem",  "Atom",         "Nano",     "Sandybridge",
                                          "Opteron",  "Opteron_SSE3", "Barcelona"};

// OpenBLAS is linked by LibTorch, not by us, and may be another library: its functions are looked
// up by name. Null where there is none.
template <class Function>
Function FindBlasFunction(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

// Sets an environment variable, and puts the old value back at the end.
class EnvironmentValue {
 public:
  EnvironmentValue(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    setenv(name, value.c_str(), 1);
  }
  ~EnvironmentValue() {
    if (before_) {
      setenv(name_, before_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  EnvironmentValue(const EnvironmentValue&) = delete;
  EnvironmentValue& operator=(const EnvironmentValue&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace

std::string BlasCore() {
  // A build for one processor has no gotoblas_dynamic_init.
  if (!dlsym(RTLD_DEFAULT, "gotoblas_dynamic_init")) return "";
  const auto name = FindBlasFunction<const char* (*)()>("openblas_get_corename");
  return name ? name() : "";
}

bool UseBlasCore(const std::string& core) {
  const auto init = FindBlasFunction<void (*)()>("gotoblas_dynamic_init");
  const auto quit = FindBlasFunction<void (*)()>("gotoblas_dynamic_quit");
  if (!init || !quit || BlasCore().empty()) return false;
  const EnvironmentValue wanted(kCoreVariable, core);
  quit();  // forgets the kernels; init chooses again, and nothing else changes
  init();
  return BlasCore() == core;
}

BlasProcessor ThisProcessor() {
  BlasProcessor processor;
#if defined(__x86_64__)
  processor.amd = __builtin_cpu_is("amd") != 0;
  processor.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  processor.avx512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                     __builtin_cpu_supports("avx512vl");
#endif
  return processor;
}

std::string FasterBlasCore(std::string_view chosen, const BlasProcessor& processor) {
  // OpenBLAS 0.3 takes Cooperlake on every processor with AVX512_BF16. Its kernels for F32 products
  // are those of SkylakeX, but blocks of 640 x 320 stand where SkylakeX's are 448 x 448. A
  // processor that is newer than the library is taken for an old one: 0.3.21 has SSE3 for Emerald
  // Rapids.
  const bool old = std::ranges::find(kOldCores, chosen) != std::end(kOldCores);
  if (chosen != "Cooperlake" && !(old && processor.avx2)) return "";
  return processor.avx512 && !processor.amd ? "SkylakeX" : "Haswell";
}

void AvoidSlowBlasCore() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (std::getenv(kCoreVariable)) return;
    const std::string faster = FasterBlasCore(BlasCore(), ThisProcessor());
    if (!faster.empty()) UseBlasCore(faster);
  });
}

}  // namespace moefy::model
