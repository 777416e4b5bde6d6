// The light tuning that `convert --tune N` asks for: a calibrate stage for a recipe that has none,
// by distillation from the dense model, at the ratios and under the selection that are evaluated.
// docs/training.md says where its settings come from. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "moefy/io/checkpoint.h"
#include "pipeline/inspect.h"
#include "pipeline/recipe.h"

namespace moefy::pipeline {

// The options of the stage, as a recipe has them under "calibrate". `samples` are examples of the
// split that is recorded, of which the stage holds out at most a tenth; of texts they are windows,
// and what is held out comes on top, from the text's last tenth. Reads the data, if they are there,
// to see whether they are enough. Throws Error{kUsage} for a recipe that has such a stage already,
// records no task, or evaluates no ratio below 1, and for samples that there are not.
Json TuneStage(const Recipe& recipe, const io::Checkpoint& model, const Inspection& inspection,
               int64_t samples);
// Gives the recipe this stage.
void AddTuning(const io::Checkpoint& model, const Inspection& inspection, int64_t samples,
               Recipe& recipe);

// What a calibrate stage does, in one line for people.
std::string DescribeCalibration(const CalibrateOptions& options);

}  // namespace moefy::pipeline
