#include "pipeline/task_training.h"

#include <algorithm>

#include "ask/translation.h"
#include "base/options.h"
#include "base/ranks.h"
#include "io/fingerprint.h"
#include "model/device.h"
#include "moefy/base/error.h"
#include "pipeline/stage_key.h"
#include "pipeline/task_data.h"

namespace moefy::pipeline {

std::unique_ptr<TrainingExamples> ReadExamples(const TrainStageOptions& options,
                                               const task::TaskSpec& task) {
  auto examples = std::make_unique<TrainingExamples>();
  examples->spec = task;
  task::Dataset dataset = task::ReadDataset(
      examples->spec, options.split, DataDirectory(examples->spec, options.data), options.limit);
  for (const std::filesystem::path& file : dataset.files) {
    examples->fingerprint += (examples->fingerprint.empty() ? "" : "-") + io::FileFingerprint(file);
  }
  if (!options.task.empty()) examples->fingerprint += "-" + io::FileFingerprint(task.file);
  examples->data = HoldOut(examples->spec, std::move(dataset), options.held_out);
  return examples;
}

void PrepareExamples(const model::ModelConfig& config, const std::filesystem::path& directory,
                     const std::string& config_text, std::unique_ptr<text::Tokenizer> tokenizer,
                     std::vector<std::string>& warnings, TrainingExamples& examples) {
  examples.tokenizer = std::move(tokenizer);
  examples.generation =
      ask::ReadGeneration(directory, config_text, config, *examples.tokenizer, &warnings);
  const auto prepare = [&](const task::Dataset& dataset) {
    return ask::PrepareTask(examples.spec, dataset, config, *examples.tokenizer,
                            examples.generation);
  };
  examples.train = prepare(examples.data.train);
  WithContext("what is held out, a tenth",
              [&] { examples.held_out = prepare(examples.data.held_out); });
  examples.sequences = examples.train->RightSequences();
}

task::TaskSpec ReadTask(const TrainStageOptions& options) {
  if (options.task.empty()) {
    throw UsageError("training needs --task: a task file, e.g. configs/tasks/sst2.json");
  }
  return ReadTasks({options.task}, options.split).front();
}

void CheckTraining(const TrainStageOptions& options) {
  train::CheckOptions(options.trainer);
  train::CheckOptions(options.lora);
  model::ParseDevice(options.device);
}

uint64_t SeedOf(const TrainStageOptions& options) {
  return static_cast<uint64_t>(options.trainer.seed);
}

at::Device DeviceOf(const TrainStageOptions& options, TrainResult& result) {
  return model::ResolveDevice(model::ParseDevice(options.device), &result.warnings);
}

train::TrainableWeights MakeWeights(const TrainStageOptions& options,
                                    const model::ModelConfig& config, model::TensorMap parameters,
                                    const std::set<std::string>& fresh) {
  std::set<std::string> trained = train::SelectParameters(config, options.train);
  if (options.lora.rank > 0) {
    const std::set<std::string> matrices = train::BlockMatrices(config);
    std::erase_if(trained, [&](const std::string& name) { return !matrices.contains(name); });
    for (const std::string& name : trained) {
      const at::Tensor& matrix = parameters.at(name);
      const int64_t most = std::min(matrix.size(0), matrix.size(1));
      if (options.lora.rank <= most) continue;
      throw UsageError("--lora-rank is ", options.lora.rank, "; ", Quoted(name), " has ",
                       matrix.size(0), " x ", matrix.size(1), " entries, so that at most ", most,
                       " makes sense");
    }
  }
  return train::TrainableWeights(std::move(parameters), trained, options.lora, SeedOf(options),
                                 fresh);
}

void ShareAmongRanks(const char* stage, const Json& options, train::TrainingSetup& setup) {
  Ranks& ranks = Ranks::Get();
  if (ranks.size() == 1) return;
  setup.among_ranks = true;
  if (ranks.IsFirst()) {
    ranks.Announce(FormatJson({{"stage", stage}, {"options", options}, {"run", ""}}));
  }
}

train::TrainingSetup MakeSetup(const model::ModelConfig& config, const TrainingExamples& examples,
                               train::TrainableWeights& weights) {
  return {config,
          weights,
          examples.tokenizer->pad_id(),
          examples.sequences,
          {*examples.held_out, examples.spec, examples.data.held_out},
          {1.0},
          {},
          {},
          nullptr,
          {}};
}

std::filesystem::path StateOf(const std::string& out) {
  const std::filesystem::path path = std::filesystem::path(out).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).string() + ".training";
}

Json Identity(Json options, const std::string& model, const std::string& data) {
  options = WithoutPaths(options);
  options.erase("device");
  options["model_fingerprint"] = model;
  options["data_fingerprint"] = data;
  return options;
}

std::shared_ptr<OutputLock> TakePlaces(const std::string& out, IfExists if_exists,
                                       const InputPaths& checkpoints,
                                       const TrainStageOptions& options,
                                       const task::TaskSpec& task) {
  InputPaths read = TaskInputs({task}, options.split, options.data);
  read.insert(read.end(), checkpoints.begin(), checkpoints.end());
  CheckOutput(out, Staging::Kind::kDirectory, if_exists, read);
  CheckOutput(StateOf(out), Staging::Kind::kDirectory, IfExists::kRenew, read);
  const auto lock = if_exists == IfExists::kRenew ? nullptr : LockOutput(StateOf(out));
  CheckOutput(out, Staging::Kind::kDirectory, if_exists, read);  // it may have waited for the lock
  return lock;
}

void RequireOut(const std::string& out, const char* command) {
  if (out.empty()) throw UsageError(command, " needs --out: where should the result go?");
}

model::TensorMap ChangedParameters(const train::TrainableWeights& weights) {
  const at::NoGradGuard no_grad;
  const model::TensorMap effective = weights.Effective();
  model::TensorMap changed;
  for (const std::string& name : weights.changed()) changed.emplace(name, effective.at(name));
  return changed;
}

}  // namespace moefy::pipeline
