// A training on a task, as every training stage sets it up: examples, weights, the state's place
// and what it must have been made with. Thread-safe.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ask/prepared_task.h"
#include "base/json.h"
#include "base/output.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/tensor_io.h"
#include "moefy/text/tokenizer.h"
#include "pipeline/train_stages.h"
#include "pipeline/training_data.h"
#include "train/trainer.h"

namespace moefy::pipeline {

// A task read, cut and encoded for one model.
struct TrainingExamples {
  task::TaskSpec spec;
  TrainingData data;
  std::unique_ptr<text::Tokenizer> tokenizer;
  model::GenerationOptions generation;
  std::unique_ptr<ask::PreparedTask> train, held_out;
  std::vector<ask::Sequence> sequences;
  std::string fingerprint;  // of the data file and the task file
};

// Throws Error{kUsage} for options that make no sense.
void CheckTraining(const TrainStageOptions& options);
// The task that the options name, which must be given.
task::TaskSpec ReadTask(const TrainStageOptions& options);
// Throws Error{kUsage} unless it is said where the result of `command` should go.
void RequireOut(const std::string& out, const char* command);
// Checks that the result and, until it is there, the state of the training have a place apart from
// what is read, and keeps other processes out of it.
std::shared_ptr<OutputLock> TakePlaces(const std::string& out, IfExists if_exists,
                                       const InputPaths& checkpoints,
                                       const TrainStageOptions& options,
                                       const task::TaskSpec& task);

// Returns a pointer, because the prepared tasks will refer to the rest.
std::unique_ptr<TrainingExamples> ReadExamples(const TrainStageOptions& options,
                                               const task::TaskSpec& task);
// Encodes the examples. `config_text` is the text of the directory's config.json.
void PrepareExamples(const model::ModelConfig& config, const std::filesystem::path& directory,
                     const std::string& config_text, std::unique_ptr<text::Tokenizer> tokenizer,
                     std::vector<std::string>& warnings, TrainingExamples& examples);

uint64_t SeedOf(const TrainStageOptions& options);
at::Device DeviceOf(const TrainStageOptions& options, TrainResult& result);

// The weights that the options say may change. `fresh` ones always may.
train::TrainableWeights MakeWeights(const TrainStageOptions& options,
                                    const model::ModelConfig& config, model::TensorMap parameters,
                                    const std::set<std::string>& fresh = {});
// A training of a dense model. The arguments must outlive it.
train::TrainingSetup MakeSetup(const model::ModelConfig& config, const TrainingExamples& examples,
                               train::TrainableWeights& weights);
// In an MPI run: has the ranks share the training's steps. Those that serve come here by running
// the same stage with the options that rank 0 announces.
void ShareAmongRanks(const char* stage, const Json& options, train::TrainingSetup& setup);
// Where the state lies beside the output: "out" or "out/" -> "out.training".
std::filesystem::path StateOf(const std::string& out);
// What the state on disk must have been made with. A resumed command may give other paths to the
// same content, and another device.
Json Identity(Json options, const std::string& model, const std::string& data);

// The parameters that may have changed.
model::TensorMap ChangedParameters(const train::TrainableWeights& weights);

}  // namespace moefy::pipeline
