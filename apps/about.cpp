#include "about.h"

#include <sys/utsname.h>

#include "bench/machine.h"
#include "commit.h"
#include "moefy/base/strings.h"
#include "moefy/base/version.h"

namespace moefy::apps {

Json About() {
  utsname system = {};
  ::uname(&system);
  return {
      {"moefy_version", kVersion},
      {"build",
       {{"commit", Commit()}, {"compiler", __VERSION__}, {"libtorch", bench::LibTorchVersion()}}},
      {"machine",
       {{"host", system.nodename},
        {"system", StrCat(system.sysname, " ", system.release, " ", system.machine)},
        {"cpu", bench::CpuName()},
        {"threads", bench::NumThreads()},
        {"memory_bytes", bench::MemoryBytes()}}}};
}

}  // namespace moefy::apps
