// What LibTorch 1.13 and 2 want of an allocator. The first allocates in a const function, the
// second in one that is not const, and it also copies; of each pair one overrides, so none says so.
#pragma once

#include <c10/core/Allocator.h>

#include <cstring>

namespace moefy::tests {

class MemoryOfTests : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t num_bytes) const { return Take(num_bytes); }
  c10::DataPtr allocate(size_t num_bytes) { return Take(num_bytes); }
  void copy_data(void* to, const void* from, size_t num_bytes) const {
    std::memcpy(to, from, num_bytes);
  }

 private:
  virtual c10::DataPtr Take(size_t num_bytes) const = 0;
};

}  // namespace moefy::tests
