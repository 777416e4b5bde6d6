// One target as libFuzzer wants it; MOEFY_FUZZ_TARGET names it.
#include <cstddef>
#include <cstdint>

#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  moefy::fuzz::MOEFY_FUZZ_TARGET(std::as_bytes(std::span(data, size)));
  return 0;
}
