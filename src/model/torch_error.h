// LibTorch's exceptions as ours. Thread-safe.
#pragma once

#include <c10/util/Exception.h>

#include "moefy/base/error.h"

namespace moefy::model {

// kSystem, with what was asked for, where memory was short, on the CPU or a GPU; kBug for anything
// else: no input may reach that.
Error FromTorch(const c10::Error& error);

}  // namespace moefy::model
