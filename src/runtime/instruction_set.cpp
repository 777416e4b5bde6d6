#include "runtime/instruction_set.h"

#include "runtime/kernel_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/instruction_set.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {

const char* ThisSet() { return hwy::TargetName(HWY_TARGET); }

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(ThisSet);
std::string InstructionSet() { return HWY_DYNAMIC_DISPATCH(ThisSet)(); }

}  // namespace moefy::runtime
#endif
