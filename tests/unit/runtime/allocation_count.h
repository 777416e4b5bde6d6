// Counts what this program takes from the heap, on all threads: by operator new, and LibTorch's
// memory for tensors. The .cpp replaces both, so only programs that count link it.
#pragma once

#include <cstdint>

namespace moefy::tests {

int64_t NumAllocations();

}  // namespace moefy::tests
