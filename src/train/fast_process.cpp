#include <ATen/Context.h>
#include <malloc.h>

#include "train/trainer.h"

namespace moefy::train {
namespace {

// Blocks below `num_bytes` stay with the process when they are freed.
void KeepBelow(int num_bytes) {
  mallopt(M_MMAP_THRESHOLD, num_bytes);
  mallopt(M_TRIM_THRESHOLD, num_bytes);
}

}  // namespace

FastProcess::FastProcess() {
  KeepBelow(1 << 30);
  at::globalContext().setFlushDenormal(true);
}

FastProcess::~FastProcess() {
  KeepBelow(32 << 20);  // where glibc's own, growing threshold ends
  at::globalContext().setFlushDenormal(false);
}

}  // namespace moefy::train
