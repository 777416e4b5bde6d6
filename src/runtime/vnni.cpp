#include "runtime/vnni.h"

#include <atomic>

namespace moefy::runtime {
namespace {

std::atomic<bool> vnni_forbidden = false;

}  // namespace

#if defined(__x86_64__)
bool HasAvx512Vnni() {
  static const bool found = __builtin_cpu_supports("avx512vnni") != 0;
  return found && !vnni_forbidden.load(std::memory_order_relaxed);
}
bool HasAvxVnni() {
  static const bool found = __builtin_cpu_supports("avxvnni") != 0;
  return found && !vnni_forbidden.load(std::memory_order_relaxed);
}
#else
bool HasAvx512Vnni() { return false; }
bool HasAvxVnni() { return false; }
#endif

void ForbidVnni(bool forbid) { vnni_forbidden = forbid; }

}  // namespace moefy::runtime
