// Counts the memory that LibTorch takes from the system for the tensors that this thread makes.
#pragma once

#include <c10/core/Allocator.h>

#include <memory>

namespace moefy::tests {

class StorageCount {
 public:
  // Since this object was made.
  int64_t Get() const { return reports_->count; }

 private:
  struct Reports final : c10::MemoryReportingInfoBase {
    int64_t count = 0;
    void reportMemoryUsage(void*, int64_t alloc_size, int64_t, int64_t, c10::Device) override {
      count += alloc_size > 0;
    }
    bool memoryProfilingEnabled() const override { return true; }
  };
  std::shared_ptr<Reports> reports_ = std::make_shared<Reports>();
  c10::DebugInfoGuard guard_{c10::DebugInfoKind::PROFILER_STATE, reports_};
};

}  // namespace moefy::tests
