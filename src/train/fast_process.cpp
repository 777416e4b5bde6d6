#include "train/fast_process.h"

#include <ATen/Context.h>

#include "base/heap.h"

namespace moefy::train {

FastProcess::FastProcess() {
  SetHeapPolicy(kTrainingHeap);
  at::globalContext().setFlushDenormal(true);
}

FastProcess::~FastProcess() {
  SetHeapPolicy(kPlainHeap);
  at::globalContext().setFlushDenormal(false);
}

}  // namespace moefy::train
