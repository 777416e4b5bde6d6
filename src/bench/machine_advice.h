// What slows moefy down on a machine, and what to do about it. Pure function.
#pragma once

#include <string>
#include <vector>

#include "bench/machine_facts.h"

namespace moefy::bench {

struct Advice {
  std::string about;  // a key for programs: "threads", "memory", ...
  std::string found;
  std::string remedy;
};

// `wanted_bytes` is the memory that the work at hand wants; 0: not known. What a machine does not
// tell gives no advice.
std::vector<Advice> GiveAdvice(const MachineFacts& facts, int64_t wanted_bytes);

}  // namespace moefy::bench
