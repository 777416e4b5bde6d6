// Counts the memory that LibTorch takes for tensors on the CPU, on all threads.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "support/memory_of_tests.h"

namespace moefy::tests {

// LibTorch's allocator, with a count of what is taken and not yet given back. What has been taken
// may be given back after the count ends.
class CountingAllocator final : public MemoryOfTests {
 public:
  static inline std::atomic<int64_t> taken{0}, peak{0};

 private:
  c10::DataPtr Take(size_t num_bytes) const override {
    auto* const block = new Block{c10::GetDefaultCPUAllocator()->allocate(num_bytes),
                                  static_cast<int64_t>(num_bytes)};
    const int64_t now = taken += block->num_bytes;
    for (int64_t most = peak; most < now && !peak.compare_exchange_weak(most, now);) {
    }
    void* const data = block->memory.get();
    return {data, block, &GiveBack, c10::Device(c10::DeviceType::CPU)};
  }

  struct Block {
    c10::DataPtr memory;
    int64_t num_bytes;
  };
  static void GiveBack(void* context) {
    auto* const block = static_cast<Block*>(context);
    taken -= block->num_bytes;
    delete block;
  }
};

// The most bytes of tensors that `work` has at once, beyond those that were there before.
template <typename Work>
int64_t PeakTensorBytes(const Work& work) {
  static CountingAllocator counting;
  c10::Allocator* const before = c10::GetCPUAllocator();
  c10::SetCPUAllocator(&counting, /*priority=*/255);
  const int64_t start = CountingAllocator::taken;
  CountingAllocator::peak = start;
  work();
  const int64_t peak = CountingAllocator::peak - start;
  c10::SetCPUAllocator(before, /*priority=*/255);
  return peak;
}

constexpr int64_t kMegabyte = int64_t{1} << 20;

}  // namespace moefy::tests
