// Proves that a split checkpoint is a permutation of a dense one.
#pragma once

#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/split/verify_report.h"
#include "split/moe_checkpoint.h"

namespace moefy::split {

// Compares every tensor's bytes. Throws only if either side cannot be read. Advances `progress` by
// the dense checkpoint's bytes; the caller begins and ends the step.
VerifyReport VerifyMoe(const io::Checkpoint& dense, const MoeCheckpoint& moe,
                       Progress& progress = SilentProgress());

}  // namespace moefy::split
