// The examples of a training, with those that are held out apart.
#pragma once

#include <cstdint>

#include "task/dataset.h"
#include "task/task_spec.h"

namespace moefy::pipeline {

struct TrainingData {
  task::Dataset train;
  task::Dataset held_out;
};

// Holds out `held_out` examples, at most a tenth, evenly spread; of one long text its end.
// Error{kInput} when there is nothing to hold out.
TrainingData HoldOut(const task::TaskSpec& spec, task::Dataset dataset, int64_t held_out);

}  // namespace moefy::pipeline
