// The ways in which a result must not depend on the machine: instruction sets, threads; and the
// formats of weights.
#pragma once

#include <ATen/Parallel.h>
#include <hwy/targets.h>

#include <cstdint>
#include <vector>

#include "runtime/weight_format.h"

namespace moefy::runtime {

class ThreadCount {
 public:
  explicit ThreadCount(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~ThreadCount() { at::set_num_threads(before_); }

 private:
  int before_;
};

// Every instruction set of this machine, and the choice made back at the end.
class Targets {
 public:
  std::vector<int64_t> all() const {
    std::vector<int64_t> targets;
    for (int64_t rest = hwy::SupportedTargets() & HWY_TARGETS; rest; rest &= rest - 1) {
      targets.push_back(rest & -rest);
    }
    return targets;
  }
  void Use(int64_t target) const {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  ~Targets() {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

inline constexpr WeightFormat kFormats[] = {WeightFormat::kF32, WeightFormat::kBf16,
                                            WeightFormat::kF16, WeightFormat::kInt8};

}  // namespace moefy::runtime
