// What became of a request to stop (moefy/base/progress.h). Thread-safe, async-signal-safe.
#pragma once

namespace moefy {

// Whether ThrowIfInterrupted has thrown: the work stops by itself and need not be cut off.
bool InterruptAnswered();
// Takes the answer back, or gives it again: while what is on its way out waits for something that
// may be stuck, it may have to be cut off after all.
void SetInterruptAnswered(bool answered);

}  // namespace moefy
