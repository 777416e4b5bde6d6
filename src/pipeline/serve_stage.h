// What the ranks of an MPI run do, but for the first: their share of the stages that it announces.
// Thread-safety: for the main thread alone.
#pragma once

#include "base/json.h"

namespace moefy::pipeline {

// Runs the stage, with the options that are announced, as far as it is shared.
void ServeStage(const Json& announced);

}  // namespace moefy::pipeline
