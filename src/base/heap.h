// How much freed memory the process keeps (glibc's malloc): one table, and the only calls to set
// it. Thread-safe.
#pragma once

#include <malloc.h>

namespace moefy {

// Blocks below `largest_block` bytes stay with the process when they are freed, as long as less
// than `most_kept` bytes are free at the heap's end.
struct HeapPolicy {
  int largest_block, most_kept;
};

// Temporaries of a few MB come again and again, and giving them back to the system each time costs
// more than computing on them. 32 MB is the most that glibc takes without being told.
inline constexpr HeapPolicy kProgramHeap{32 << 20, 1 << 30};
// Training makes larger ones.
inline constexpr HeapPolicy kTrainingHeap{1 << 30, 1 << 30};
// The largest values that glibc's own thresholds, which grow, can reach.
inline constexpr HeapPolicy kPlainHeap{32 << 20, 32 << 20};

inline void SetHeapPolicy(const HeapPolicy& policy) {
  mallopt(M_MMAP_THRESHOLD, policy.largest_block);
  mallopt(M_TRIM_THRESHOLD, policy.most_kept);
}

// Gives what is free back to the system now.
inline void ReturnFreedMemory() { malloc_trim(0); }

}  // namespace moefy
