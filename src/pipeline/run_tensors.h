// Raw tensors in and out of a dense or a split model: how anyone checks moefy against another
// implementation.
#pragma once

#include <string>
#include <vector>

#include "base/output.h"
#include "moefy/base/progress.h"
#include "pipeline/run_options.h"

namespace moefy::pipeline {

struct RunTensorsResult {
  std::vector<std::string> tensors;  // written, with their shapes: "logits [8, 1, 8128]"
  double seconds = 0;                // of the forward pass
};

// Reads options.tensors, runs the model on them and writes options.out. Names and shapes:
// docs/formats.md, "Tensors of moefy run". Throws Error{kUsage} without `out`, Error{kInput} for
// tensors that the model does not take.
RunTensorsResult RunTensors(const RunOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
