#include "model/blas_core.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>
#include <optional>

namespace moefy::model {
namespace {

constexpr const char* kCoreVariable = "OPENBLAS_CORETYPE";

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

std::string FasterBlasCore(std::string_view chosen, bool amd) {
  // OpenBLAS 0.3 takes Cooperlake on every processor with AVX512_BF16. Its kernels for F32 products
  // are those of SkylakeX, but blocks of 640 x 320 stand where SkylakeX's are 448 x 448.
  if (chosen != "Cooperlake") return "";
  return amd ? "Haswell" : "SkylakeX";
}

void AvoidSlowBlasCore() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (std::getenv(kCoreVariable)) return;
    bool amd = false;
#if defined(__x86_64__)
    amd = __builtin_cpu_is("amd") != 0;
#endif
    const std::string faster = FasterBlasCore(BlasCore(), amd);
    if (!faster.empty()) UseBlasCore(faster);
  });
}

}  // namespace moefy::model
