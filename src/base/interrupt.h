// What became of a request to stop (moefy/base/progress.h). Thread-safe, async-signal-safe.
#pragma once

namespace moefy {

// Whether ThrowIfInterrupted has thrown: the work stops by itself and need not be cut off.
bool InterruptAnswered();

}  // namespace moefy
