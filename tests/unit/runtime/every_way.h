// The ways in which a result must not depend on the machine: instruction sets, threads; and the
// formats of weights.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <hwy/targets.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/packed_linear.h"
#include "runtime/vnni.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

class ThreadCount {
 public:
  explicit ThreadCount(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~ThreadCount() { at::set_num_threads(before_); }

 private:
  int before_;
};

// Every instruction set of this machine, with and without VNNI, and the choice made back at the
// end. A way is one of Highway's targets, or its negative for the target without VNNI.
class Targets {
 public:
  std::vector<int64_t> all() const {
    std::vector<int64_t> ways;
    for (int64_t rest = hwy::SupportedTargets() & HWY_TARGETS; rest; rest &= rest - 1) {
      const int64_t target = rest & -rest;
      ways.push_back(target);
      if ((target == HWY_AVX3 && HasAvx512Vnni()) || (target == HWY_AVX2 && HasAvxVnni())) {
        ways.push_back(-target);
      }
    }
    return ways;
  }
  static std::string Name(int64_t way) {
    return way > 0 ? hwy::TargetName(way) : std::string(hwy::TargetName(-way)) + " without VNNI";
  }
  void Use(int64_t way) const {
    ForbidVnni(way < 0);
    hwy::SetSupportedTargetsForTest(way < 0 ? -way : way);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  ~Targets() {
    ForbidVnni(false);
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

inline constexpr WeightFormat kFormats[] = {WeightFormat::kF32, WeightFormat::kBf16,
                                            WeightFormat::kF16, WeightFormat::kInt8,
                                            WeightFormat::kInt4};

// The weights [out, in] that INT4 really holds: what a map gives for one number that is not zero.
inline at::Tensor HeldInInt4(const at::Tensor& w) {
  const at::Tensor one = at::eye(w.size(1));
  return PackedLinear(w.contiguous(), {}, WeightFormat::kInt4).Forward(one).t().contiguous();
}

}  // namespace moefy::runtime
