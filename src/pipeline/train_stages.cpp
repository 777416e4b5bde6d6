#include "pipeline/train_stages.h"

#include <map>
#include <memory>
#include <set>

#include "ask/prepared_task.h"
#include "ask/translation.h"
#include "base/file.h"
#include "base/options.h"
#include "model/device.h"
#include "model/open_checkpoint.h"
#include "model/read_parameters.h"
#include "moefy/base/error.h"
#include "moefy/io/checkpoint.h"
#include "pipeline/student.h"
#include "pipeline/task_data.h"
#include "pipeline/training_data.h"
#include "route/router_store.h"
#include "runtime/sparse_model.h"
#include "split/moe_checkpoint.h"
#include "split/rewrite.h"
#include "train/masked_ffn.h"
#include "train/trainer.h"

namespace moefy::pipeline {
namespace {

namespace fs = std::filesystem;

// A task read, cut and encoded for one model.
struct TrainingExamples {
  task::TaskSpec spec;
  TrainingData data;
  std::unique_ptr<text::Tokenizer> tokenizer;
  model::GenerationOptions generation;
  std::unique_ptr<ask::PreparedTask> train, held_out;
  std::vector<ask::Sequence> sequences;
  std::string fingerprint;  // of the data file
};

// Not movable once prepared: the prepared tasks refer to the rest.
std::unique_ptr<TrainingExamples> ReadExamples(const TrainingOptions& options) {
  if (options.task.empty()) {
    throw UsageError("training needs --task: a task file, e.g. configs/tasks/sst2.json");
  }
  auto examples = std::make_unique<TrainingExamples>();
  examples->spec = task::ReadTaskSpec(options.task);
  task::Dataset dataset = task::ReadDataset(
      examples->spec, options.split, DataDirectory(examples->spec, options.data), options.limit);
  examples->fingerprint = io::FileFingerprint(dataset.file);
  examples->data = HoldOut(examples->spec, std::move(dataset), options.held_out);
  return examples;
}

void PrepareExamples(const model::ModelConfig& config, const fs::path& directory,
                     std::vector<std::string>& warnings, TrainingExamples& examples) {
  examples.tokenizer = text::LoadTokenizer(directory, {}, ask::LanguagesOf(examples.spec));
  examples.generation = ask::ReadGeneration(directory, config, *examples.tokenizer, &warnings);
  const auto prepare = [&](const task::Dataset& dataset) {
    return ask::PrepareTask(examples.spec, dataset, config, *examples.tokenizer,
                            examples.generation);
  };
  examples.train = prepare(examples.data.train);
  examples.held_out = prepare(examples.data.held_out);
  examples.sequences = examples.train->RightSequences();
}

train::TrainerOptions ToTrainerOptions(const TrainingOptions& options) {
  train::TrainerOptions trainer = options.trainer;
  trainer.seed = static_cast<uint64_t>(options.seed);
  train::CheckOptions(trainer);
  RequireOption(options.lora_rank >= 0, "lora-rank", options.lora_rank, "at least 0");
  model::ParseDevice(options.device);
  return trainer;
}

at::Device DeviceOf(const TrainingOptions& options, TrainResult& result) {
  return model::ResolveDevice(model::ParseDevice(options.device), &result.warnings);
}

train::TrainableWeights MakeWeights(const TrainingOptions& options,
                                    const model::ModelConfig& config, model::TensorMap parameters,
                                    const std::set<std::string>& fresh = {}) {
  std::set<std::string> trained = train::SelectParameters(config, options.train);
  if (options.lora_rank > 0) {
    const std::set<std::string> matrices = train::BlockMatrices(config);
    std::erase_if(trained, [&](const std::string& name) { return !matrices.contains(name); });
  }
  return train::TrainableWeights(std::move(parameters), trained,
                                 {options.lora_rank, options.lora_alpha},
                                 static_cast<uint64_t>(options.seed), fresh);
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
          {}};
}

// Beside the output: "out" or "out/" -> "out.training".
fs::path StateOf(const std::string& out) {
  const fs::path path = fs::path(out).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).string() + ".training";
}

// Without what may be given differently by the command that goes on.
Json Identity(Json options, const std::string& model, const std::string& data) {
  for (const char* key : {"out", "data", "device"}) options.erase(key);
  options["model_fingerprint"] = model;
  options["data_fingerprint"] = data;
  return options;
}

// What has changed of the weights; nothing if the start was best.
model::TensorMap Changed(const train::TrainableWeights& weights, TrainResult& result) {
  if (result.report.best == 0) {
    result.warnings.push_back(
        "nothing that was tried was better on the held-out examples than the start, so the weights "
        "are unchanged; another --learning-rate or more --epochs may help");
    return {};
  }
  const at::NoGradGuard no_grad;
  const model::TensorMap effective = weights.Effective();
  model::TensorMap changed;
  for (const std::string& name : weights.changed()) changed.emplace(name, effective.at(name));
  return changed;
}

void CopyConfig(const fs::path& from, const fs::path& to) {
  WriteTextFile(to / "config.json", ReadTextFile(from / "config.json"), IfExists::kRefuse);
}

// That the result and, until it is there, the state of the training have a place; apart from what
// is read.
void CheckPlaces(const std::string& out, IfExists if_exists, const InputPaths& checkpoints,
                 const TrainingOptions& options) {
  InputPaths read = checkpoints;
  if (!options.task.empty()) {
    for (auto& path : TaskInputs({options.task}, options.split, options.data)) {
      read.push_back(std::move(path));
    }
  }
  CheckOutput(out, Staging::Kind::kDirectory, if_exists, read);
  CheckOutput(StateOf(out), Staging::Kind::kDirectory, IfExists::kRenew, read);
}

void RequireOut(const std::string& out, const char* command) {
  if (out.empty()) throw UsageError(command, " needs --out: where should the result go?");
}

Json CalibrationEntry(const CalibrateOptions& options, const std::string& selection,
                      const std::string& task, const model::TensorMap& changed) {
  Json tensors = Json::array();
  for (const auto& [name, tensor] : changed) tensors.push_back(name);
  return {{"kind", "gradient"},
          {"ffn_ratios", options.ffn_ratios},
          {"selection", selection},
          {"task", task},
          {"tensors", std::move(tensors)}};
}

// The split checkpoint again with changed weights, and what changed them in moefy.json.
void WriteCalibrated(const split::MoeCheckpoint& moe, const model::TensorMap& changed,
                     Json calibration, const fs::path& directory) {
  CopyConfig(moe.directory(), directory);
  split::CopySideFiles(moe.weights(), directory);
  model::RewriteTensors(moe.weights(), changed, directory);
  CopyFile(moe.directory() / split::kMoeTensors, directory / split::kMoeTensors);
  Json manifest = moe.manifest();
  if (!changed.empty()) manifest["calibration"].push_back(std::move(calibration));
  WriteTextFile(directory / split::kMoeManifest, FormatJson(manifest), IfExists::kRefuse);
}

// What the student is to be like, or nothing.
std::unique_ptr<model::Transformer> LoadTeacher(const CalibrateOptions& options,
                                                const split::MoeCheckpoint& moe,
                                                at::Device device) {
  const auto load = [&](const io::Checkpoint& checkpoint) {
    return std::make_unique<model::Transformer>(
        model::LoadTransformer(checkpoint, nullptr, model::Parts::kAll, device));
  };
  if (options.distill == 0 && options.distill_ffn == 0) return nullptr;
  if (!options.dense.empty()) return load(model::OpenCheckpoint(options.dense));
  if (route::IsCalibrated(moe)) {
    throw UsageError(options.moe,
                     " is calibrated already, so its dense parent is not known; give "
                     "it as --dense");
  }
  return load(moe.weights());
}

}  // namespace

void CheckCalibrateOptions(const CalibrateOptions& options) {
  ToTrainerOptions(options.training);
  if (!options.training.task.empty()) {
    task::ReadTaskSpec(options.training.task).GetSplit(options.training.split);
  }
  if (!options.selection.empty()) route::ParseSelection(options.selection);
  if (options.ffn_ratios.empty()) throw UsageError("--ffn-ratio is empty; expected at least one");
  for (const double ratio : options.ffn_ratios) route::NumSelected(ratio, 1);
  RequireOption(options.distill >= 0 && options.distill <= 1, "distill", options.distill,
                "a share from 0 to 1");
  RequireOption(options.distill_ffn >= 0, "distill-ffn", options.distill_ffn, "at least 0");
  RequireOption(options.temperature > 0, "temperature", options.temperature, "more than 0");
}

TrainResult Finetune(const FinetuneOptions& options, IfExists if_exists, Progress& progress) {
  RequireOut(options.out, "finetune");
  const train::TrainerOptions trainer = ToTrainerOptions(options.training);
  CheckPlaces(options.out, if_exists, {options.checkpoint}, options.training);
  const auto examples = ReadExamples(options.training);
  TrainResult result;
  Student student = OpenStudent(options, examples->spec, result.warnings);
  PrepareExamples(student.config, student.directory, result.warnings, *examples);
  std::set<std::string> fresh;
  model::TensorMap parameters = ReadParameters(student, trainer.seed, fresh, result.warnings);
  train::TrainableWeights weights = MakeWeights(
      options.training, student.config,
      model::OnDevice(std::move(parameters), DeviceOf(options.training, result)), fresh);
  train::TrainingSetup setup = MakeSetup(student.config, *examples, weights);
  setup.identity =
      Identity(OptionsToJson(options),
               student.checkpoint ? student.checkpoint->Fingerprint(progress)
                                  : io::FileFingerprint(student.directory / "config.json"),
               examples->fingerprint);
  result.report = train::Train(setup, trainer, StateOf(options.out), if_exists, progress);

  StagedDirectory staged(options.out, if_exists);
  const model::TensorMap changed = Changed(weights, result);
  const at::NoGradGuard no_grad;
  WriteStudent(student, changed, weights.Effective(), staged.path());
  staged.Commit();
  result.out = options.out;
  return result;
}

TrainResult Calibrate(const CalibrateOptions& options, IfExists if_exists, Progress& progress) {
  CheckCalibrateOptions(options);
  RequireOut(options.out, "calibrate");
  const train::TrainerOptions trainer = ToTrainerOptions(options.training);
  CheckPlaces(options.out, if_exists, {options.moe, options.dense}, options.training);
  const auto examples = ReadExamples(options.training);
  TrainResult result;
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(options.moe);
  const model::ModelConfig& config = moe.config();
  std::string selection = options.selection;
  if (selection.empty()) selection = route::StoredRouterKind(moe);
  if (selection.empty()) selection = "similarity";
  runtime::CheckSelections({selection}, {&moe});
  PrepareExamples(config, moe.directory(), result.warnings, *examples);

  const at::Device device = DeviceOf(options.training, result);
  std::map<double, std::vector<runtime::FfnSelection>> selections;
  for (const double ratio : options.ffn_ratios) {
    selections[ratio] = runtime::SelectionOf(moe, selection, ratio, trainer.seed, device);
  }
  train::TrainableWeights weights = MakeWeights(
      options.training, config,
      model::OnDevice(model::ReadParameters(moe.weights(), config, &result.warnings), device));
  train::TrainingSetup setup = MakeSetup(config, *examples, weights);
  setup.ffn_ratios = options.ffn_ratios;
  setup.install = [&](model::Transformer& transformer, double ratio) {
    for (size_t i = 0; i < transformer.num_ffns(); ++i) {
      const auto& dense = dynamic_cast<model::DenseFeedForward&>(transformer.feed_forward(i));
      transformer.ExchangeFeedForward(
          i, std::make_unique<train::MaskedFeedForward>(
                 dense.weights(), moe.ffns()[i].plan.num_experts(), selections.at(ratio)[i]));
    }
  };
  const auto teacher = LoadTeacher(options, moe, device);
  setup.distillation = {teacher.get(), options.distill, options.temperature, options.distill_ffn};
  setup.identity =
      Identity(OptionsToJson(options), moe.weights().Fingerprint(progress), examples->fingerprint);
  result.report = train::Train(setup, trainer, StateOf(options.out), if_exists, progress);

  StagedDirectory staged(options.out, if_exists);
  const model::TensorMap changed = Changed(weights, result);
  WriteCalibrated(moe, changed, CalibrationEntry(options, selection, examples->spec.name, changed),
                  staged.path());
  staged.Commit();
  result.out = options.out;
  return result;
}

}  // namespace moefy::pipeline
