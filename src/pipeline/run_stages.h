// Runs the stages of a conversion in order, and keeps those that are done.
#pragma once

#include <vector>

#include "moefy/base/progress.h"
#include "pipeline/convert.h"
#include "pipeline/convert_output.h"

namespace moefy::pipeline {

// Tells `result` of each stage as it is done. `redo` keeps none. Throws what stages throw.
void RunStages(const std::vector<Stage>& stages, bool redo, Progress& progress,
               ConvertResult& result);

}  // namespace moefy::pipeline
