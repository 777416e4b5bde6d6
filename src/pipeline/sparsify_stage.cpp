#include "pipeline/sparsify_stage.h"

#include <algorithm>
#include <array>

#include "ask/metric.h"
#include "ask/translation.h"
#include "base/options.h"
#include "model/activation.h"
#include "model/changed_activation.h"
#include "model/device.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "model/open_checkpoint.h"
#include "model/read_parameters.h"
#include "moefy/base/error.h"
#include "pipeline/task_training.h"
#include "split/moe_checkpoint.h"
#include "split/side_files.h"
#include "train/sparse_pressure.h"
#include "train/training_state.h"

namespace moefy::pipeline {
namespace {

constexpr const char* kKeep = "keep";
constexpr std::array<const char*, 4> kActivations = {"relu", "relu2", "relu_both", kKeep};

void CheckActivation(const std::string& name) {
  if (std::ranges::find(kActivations, name) != kActivations.end()) return;
  throw UsageError("--activation is ", Quoted(name), "; expected one of: ",
                   Join(std::vector<std::string>(kActivations.begin(), kActivations.end())));
}

// The task of going on with a text, of which a tenth is held out.
task::TaskSpec TextTask(const std::filesystem::path& file, const std::string& split) {
  task::TaskSpec spec;
  spec.name = file.stem().string();
  spec.kind = task::TaskKind::kLanguageModelling;
  spec.format = task::DataFormat::kText;
  spec.splits = {{split, file.filename().string(), {}}};
  spec.metric = "perplexity";
  spec.file = file;
  spec.directory = file.parent_path();
  return spec;
}

// What the model trains on, which must be given.
task::TaskSpec WhatToLearn(const SparsifyOptions& options) {
  const TrainStageOptions& training = options.training;
  if (options.text.empty() == training.task.empty()) {
    throw UsageError("sparsify needs either --task or --text: what should the model train on?");
  }
  if (!options.text.empty() && training.limit != 0) {
    throw UsageError("--limit is for tasks; of a --text all is trained on");
  }
  return options.text.empty() ? ReadTask(training) : TextTask(options.text, training.split);
}

Json NewConfig(const SparsifyOptions& options, const io::Checkpoint& checkpoint) {
  const Json config = ParseJsonFile(checkpoint.ConfigPath(), checkpoint.ConfigText());
  if (options.activation == kKeep) return config;
  return model::WithActivation(config, model::ParseActivation(options.activation, "--activation"));
}

// Measures the original on the held-out examples.
void MeasureOriginal(const TrainingExamples& examples, train::SparsePressure& pressure,
                     model::Transformer& original, Progress& progress, SparsifyResult& result) {
  const at::NoGradGuard no_grad;
  progress.Begin("the original on held-out examples", examples.held_out->num_steps(), "examples");
  pressure.Install(original);
  const auto answers = examples.held_out->Ask(original, progress);
  const ask::Metric& metric = ask::GetMetric(examples.spec.kind, examples.spec.metric);
  result.original_metric = ask::Measure(metric, examples.data.held_out.examples, answers).value;
  result.original_active = pressure.TakeActive();
  progress.End(StrCat(metric.name, " ", FormatFixed(result.original_metric, 4)));
}

void WriteSparse(const io::Checkpoint& checkpoint, const Json& config,
                 const model::TensorMap& changed, const std::filesystem::path& directory,
                 std::vector<std::string>& warnings) {
  split::WriteConfigText(directory, FormatJson(config));
  for (std::string& warning : split::CopySideFiles(checkpoint, directory)) {
    warnings.push_back(std::move(warning));
  }
  model::RewriteTensors(checkpoint, changed, directory);
}

// Warns where fewer neurons should have fired than do in the result.
void WarnOfActive(const train::SparsePressure& pressure, const SparsifyOptions& options,
                  TrainResult& result) {
  const double active = train::MeanShare(result.report.history[result.report.best].active);
  if (pressure.Reached(active)) return;
  result.warnings.push_back(
      StrCat(FormatFixed(100 * active, 1), " % of the neurons fire, ",
             FormatFixed(100 * options.pressure.active, 2), " % were asked for; more --steps",
             options.pressure.ramp > 0 ? " or a shorter --ramp" : "", " bring it closer"));
}

}  // namespace

void CheckSparsifyOptions(const SparsifyOptions& options) {
  CheckTraining(options.training);
  train::CheckOptions(options.pressure);
  train::CheckOptions(options.distill);
  train::GetPenalty(options.pressure.penalty);
  CheckActivation(options.activation);
  if (!options.training.task.empty()) ReadTask(options.training);
}

void CheckSuits(const SparsifyOptions& options, const io::Checkpoint& checkpoint) {
  const model::ModelConfig config =
      model::ReadModelConfig(checkpoint, NewConfig(options, checkpoint));
  train::SelectParameters(config, options.training.train);
  train::CheckTrainable(config, options.training.trainer);
}

SparsifyResult Sparsify(const SparsifyOptions& options, IfExists if_exists, Progress& progress) {
  CheckSparsifyOptions(options);
  if (options.checkpoint.empty()) throw UsageError("sparsify needs a checkpoint: which model?");
  RequireOut(options.out, "sparsify");
  const task::TaskSpec task = WhatToLearn(options);
  const auto lock =
      TakePlaces(options.out, if_exists, {options.checkpoint}, options.training, task);
  const auto examples = ReadExamples(options.training, task);
  const io::Checkpoint checkpoint = model::OpenCheckpoint(options.checkpoint);
  if (split::MoeCheckpoint::IsMoe(checkpoint.directory())) {
    throw UsageError(checkpoint.directory(), " is split; sparsify comes before `moefy split`");
  }
  CheckSuits(options, checkpoint);
  SparsifyResult result;
  std::vector<std::string>& warnings = result.training.warnings;
  const Json new_config = NewConfig(options, checkpoint);
  const model::ModelConfig config = model::ReadModelConfig(checkpoint, new_config, &warnings);
  result.activation = model::ActivationName(config.activation);
  if (config.activation.on_both) {
    warnings.push_back(
        "config.json names a class that applies ReLU to gate and up; Transformers needs the code "
        "of "
        "that class, and would compute something else by its own");
  }
  for (const model::FfnSpec& spec : model::FfnSpecs(config)) result.ffns.push_back(spec.name);
  PrepareExamples(config, checkpoint.directory(), checkpoint.ConfigText(),
                  text::LoadTokenizer(checkpoint, ask::LanguagesOf(task)), warnings, *examples);

  const at::Device device = DeviceOf(options.training, result.training);
  model::Transformer original =
      model::LoadTransformer(checkpoint, nullptr, model::Parts::kAll, device);
  result.original_activation = model::ActivationName(original.config().activation);
  train::SparsePressure original_pressure(options.pressure);
  MeasureOriginal(*examples, original_pressure, original, progress, result);

  train::TrainableWeights weights = MakeWeights(
      options.training, config, model::OnDevice(model::ReadParameters(checkpoint, config), device));
  train::SparsePressure pressure(options.pressure);
  train::TrainingSetup setup = MakeSetup(config, *examples, weights);
  setup.install = [&](model::Transformer& model, double) { pressure.Install(model); };
  setup.pressure = &pressure;
  setup.distillation = {options.distill.wanted() ? &original : nullptr, options.distill};
  setup.identity =
      Identity(OptionsToJson(options), checkpoint.Fingerprint(progress), examples->fingerprint);
  result.training.report =
      train::Train(setup, options.training.trainer, StateOf(options.out), if_exists, progress);
  WarnOfActive(pressure, options, result.training);

  StagedDirectory staged(options.out, if_exists);
  WriteSparse(checkpoint, new_config, ChangedParameters(weights), staged.path(), warnings);
  staged.Commit();
  train::RemoveState(StateOf(options.out));
  result.training.out = options.out;
  return result;
}

}  // namespace moefy::pipeline
