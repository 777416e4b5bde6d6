// The examples of a training, and apart from them those that are held out.
#pragma once

#include <cstdint>

#include "task/dataset.h"
#include "task/task_spec.h"

namespace moefy::pipeline {

struct TrainingData {
  task::Dataset train;
  task::Dataset held_out;
};

// Holds out `held_out` examples, at most a tenth, spread evenly over all. Of one long text it holds
// out the end, of which at most `held_out` windows count, and no more than a tenth of the dataset's
// limit on windows. Throws Error{kInput} when there is nothing to hold out.
TrainingData HoldOut(const task::TaskSpec& spec, task::Dataset dataset, int64_t held_out);

}  // namespace moefy::pipeline
