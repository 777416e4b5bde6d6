#include "unit/runtime/allocation_count.h"

#include <stdlib.h>

#include <atomic>
#include <cerrno>
#include <new>

namespace {

std::atomic<int64_t> num_allocations{0};

void* Allocate(size_t size, size_t alignment) {
  ++num_allocations;
  if (void* memory = ::aligned_alloc(alignment, size)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(size_t size) { return Allocate(size, alignof(std::max_align_t)); }
void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { ::free(memory); }
void operator delete(void* memory, size_t) noexcept { ::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { ::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { ::free(memory); }

extern "C" int posix_memalign(void** memory, size_t alignment, size_t size) noexcept {
  ++num_allocations;
  *memory = ::aligned_alloc(alignment, size);
  return *memory ? 0 : ENOMEM;
}

int64_t moefy::tests::NumAllocations() { return num_allocations; }
