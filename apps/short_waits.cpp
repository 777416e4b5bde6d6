#include "short_waits.h"

#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>

namespace moefy::apps {
namespace {

// About 0.2 to 0.4 ms: longer than what lies between two parallel regions of a decoding step, so
// that alone nothing is lost, and short beside the 3 ms and more that another process computes
// before it lets one of our threads on. The library's own 300,000 use up our share of the processor
// with waiting.
char short_waits[] = "GOMP_SPINCOUNT=10000";

bool SaysHowToWait(const char* variable) {
  for (const char* name : {"GOMP_SPINCOUNT=", "OMP_WAIT_POLICY="}) {
    if (std::strncmp(variable, name, std::strlen(name)) == 0) return true;
  }
  return false;
}

}  // namespace

void RestartWithShortWaits(char** argv, char** envp) {
  char** end = envp;
  for (; *end; ++end) {
    if (SaysHowToWait(*end)) return;
  }
  // Without an interpreter's address the loader was called by hand, with us as its argument.
  if (getauxval(AT_BASE) == 0) return;
  // The file's own name, so that ps and perf show it.
  char self[PATH_MAX] = {};
  if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0) return;
  const auto count = static_cast<size_t>(end - envp);
  char** more = static_cast<char**>(__builtin_alloca((count + 2) * sizeof(char*)));
  std::copy(envp, end, more);
  more[count] = short_waits;
  more[count + 1] = nullptr;
  execve(self, argv, more);
}

}  // namespace moefy::apps
