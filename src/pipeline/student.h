// The model that a fine-tuning begins with: a checkpoint, perhaps with a new head, or one of random
// weights.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/config.h"
#include "moefy/model/tensor_io.h"
#include "pipeline/train_stages.h"
#include "task/task_spec.h"

namespace moefy::pipeline {

struct Student {
  std::filesystem::path directory;
  std::optional<io::Checkpoint> checkpoint;  // none: all weights are random
  std::optional<Json> new_config;            // of a model with a new head
  model::ModelConfig config;
};

// A new head is made for an encoder that has none for this kind of task, and where it is asked for.
// Error{kUsage} where it cannot be, Error{kInput} for a head with other labels than the task's.
Student OpenStudent(const FinetuneOptions& options, const task::TaskSpec& spec,
                    std::vector<std::string>& warnings);

// Its weights; `fresh` gets the names of a new head's. Where there is one, the family's names take
// the place of an old checkpoint's, because the head has them.
model::TensorMap ReadParameters(Student& student, uint64_t seed, std::set<std::string>& fresh,
                                std::vector<std::string>& warnings);

// All files of the model but for its weights' into `directory`, then those: the checkpoint's with
// what has changed, or all of `parameters` where there are new ones.
void WriteStudent(const Student& student, const model::TensorMap& changed,
                  const model::TensorMap& parameters, const std::filesystem::path& directory);

}  // namespace moefy::pipeline
