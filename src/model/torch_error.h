// LibTorch's exceptions as ours. Thread-safe.
#pragma once

#include <c10/util/Exception.h>

#include "moefy/base/error.h"

namespace moefy::model {

// Returns an Error{kSystem} that says what was asked for if memory was short, on the CPU or a GPU.
// Anything else is Error{kBug}: no input may reach it.
Error FromTorch(const c10::Error& error);

}  // namespace moefy::model
