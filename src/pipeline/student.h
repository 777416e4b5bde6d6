// The model that a fine-tuning begins with: a checkpoint, perhaps with a new head, or a model of
// random weights.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/config.h"
#include "moefy/model/tensor_io.h"
#include "pipeline/train_stages.h"
#include "task/task_spec.h"

namespace moefy::pipeline {

struct Student {
  std::filesystem::path directory;
  std::optional<io::Checkpoint> checkpoint;  // without one all weights are random
  std::string config_text;                   // of its config.json
  std::optional<Json> new_config;            // the config.json of a model with a new head
  model::ModelConfig config;
  io::DType stored_type = io::DType::kF32;  // how the checkpoint stores its FFNs
};

// Makes a new head for an encoder that has none for this kind of task, and where the options ask
// for one. Throws Error{kUsage} where that is impossible, Error{kInput} for a head with other
// labels than the task's.
Student OpenStudent(const FinetuneOptions& options, const task::TaskSpec& spec,
                    std::vector<std::string>& warnings);

// Reads the student's weights and names those of a new head in `fresh`. With a new head, all
// weights get the names of the family, which old checkpoints do not use, because the head has them.
model::TensorMap ReadParameters(Student& student, uint64_t seed, std::set<std::string>& fresh,
                                std::vector<std::string>& warnings);

// Writes the trained model into `directory`: all files of the student but its weights, then the
// checkpoint's weights with what has changed, or all of `parameters` where some are new. Warns
// about files that it left out.
void WriteStudent(const Student& student, const model::TensorMap& changed,
                  const model::TensorMap& parameters, const std::filesystem::path& directory,
                  std::vector<std::string>& warnings);

}  // namespace moefy::pipeline
