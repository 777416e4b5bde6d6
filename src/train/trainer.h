// The training loop: batches, gradients, steps, held-out measurements, and a state on disk to go on
// from. The caller decides which weights are trained and through which FFNs: dense ones for
// fine-tuning, masked ones for calibration. It computes where the weights are. On the CPU the
// result depends only on options, data and number of threads, also when a training was stopped and
// goes on. Thread-safety: one call at a time.
#pragma once

#include <filesystem>

#include "base/output.h"
#include "moefy/base/progress.h"
#include "train/trainer_options.h"
#include "train/training_report.h"
#include "train/training_setup.h"

namespace moefy::train {

// Throws Error{kInput} for a head that nothing here trains, Error{kUsage} for options that do not
// suit the model.
void CheckTrainable(const model::ModelConfig& config, const TrainerOptions& options);

// Leaves in setup.weights those that were best on the held-out examples by the task's metric, and
// of equal ones those of the smaller loss. Saves into `state` what it needs to go on, at every
// measurement and when interrupted; the caller removes it (RemoveState) once what was trained is
// written. Where `state` holds another training, throws Error{kUsage} or replaces it, as `if_other`
// says.
TrainingReport Train(const TrainingSetup& setup, const TrainerOptions& options,
                     const std::filesystem::path& state, IfExists if_other, Progress& progress);

// Computes gradients for rank 0 of an MPI run that is in Train with the same setup, with
// `among_ranks`, and options.
void ServeTraining(const TrainingSetup& setup, const TrainerOptions& options);

}  // namespace moefy::train
