#include "moefy/pipeline/eval_stage.h"

#include <optional>
#include <utility>

#include "base/options.h"
#include "eval/evaluate.h"
#include "eval/gate.h"
#include "model/device.h"
#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "pipeline/sample_file.h"
#include "pipeline/task_data.h"
#include "route/selection.h"

namespace moefy::pipeline {
namespace {

// "out/moe-kmeans/" -> "moe-kmeans"
std::string ModelName(const std::filesystem::path& path) {
  const std::filesystem::path normal = path.lexically_normal();
  return normal.has_filename() ? normal.filename().string()
                               : normal.parent_path().filename().string();
}

std::optional<eval::Gate> ReadGate(const std::string& condition, const task::TaskSpec& spec) {
  if (condition.empty()) return std::nullopt;
  return WithContext(StrCat("--fail-if, task ", Quoted(spec.name)),
                     [&] { return eval::Gate(condition, eval::FigureNames(spec)); });
}

// Split checkpoints under the names of their directories. A dense model alone is none.
struct SplitModels {
  std::vector<std::string> names;
  std::vector<split::MoeCheckpoint> checkpoints;

  std::vector<eval::NamedModel> Named() const {
    std::vector<eval::NamedModel> named;
    for (size_t i = 0; i < names.size(); ++i) named.push_back({names[i], &checkpoints[i]});
    return named;
  }
};

SplitModels OpenModels(const std::vector<std::string>& models) {
  SplitModels split;
  for (const std::string& model : models) {
    if (split::MoeCheckpoint::IsMoe(model)) {
      split.names.push_back(ModelName(model));
      split.checkpoints.push_back(split::MoeCheckpoint::Open(model));
    } else if (models.size() > 1) {
      throw UsageError(model, " is not a split checkpoint; give the dense one as --dense");
    }
  }
  return split;
}

eval::EvaluateOptions ToEvaluateOptions(const EvalOptions& options,
                                        std::vector<std::string>& warnings) {
  eval::EvaluateOptions evaluate;
  evaluate.ffn_ratios = options.ffn_ratios;
  evaluate.selections = route::ParseSelections(options.selections);
  evaluate.weights = runtime::ParseWeightFormat(options.weights);
  evaluate.seed = static_cast<uint64_t>(options.seed);
  evaluate.device = model::ResolveDevice(model::ParseDevice(options.device), &warnings);
  return evaluate;
}

}  // namespace

void CheckEvalOptions(const EvalOptions& options) {
  if (options.tasks.empty()) {
    throw UsageError("eval needs --task: a task file, e.g. configs/tasks/sst2.json");
  }
  if (options.ffn_ratios.empty()) throw UsageError("--ffn-ratio is empty; expected at least one");
  for (const double ratio : options.ffn_ratios) {
    RequireOption(ratio > 0 && ratio <= 1, "ffn-ratio", ratio, "a share above 0 and at most 1");
  }
  route::ParseSelections(options.selections);
  runtime::ParseWeightFormat(options.weights);
  model::ParseDevice(options.device);
  for (const std::string& file : options.tasks) {
    const task::TaskSpec spec = task::ReadTaskSpec(file);
    spec.GetSplit(options.split);
    ReadGate(options.fail_if, spec);
  }
}

std::vector<eval::EvaluationReport> Eval(const EvalOptions& options, IfExists if_exists,
                                         Progress& progress) {
  if (options.models.empty()) throw UsageError("eval needs a model");
  CheckEvalOptions(options);
  std::vector<std::string> warnings;
  eval::EvaluateOptions evaluate = ToEvaluateOptions(options, warnings);
  std::optional<SampleFile> samples;
  if (!options.samples.empty()) {
    InputPaths inputs = TaskInputs(options.tasks, options.split, options.data);
    inputs.insert(inputs.end(), options.models.begin(), options.models.end());
    inputs.emplace_back(options.dense);
    samples.emplace(options.samples, options.tasks.size(), if_exists, inputs);
    evaluate.sample_sink = [&](size_t task_idx, const Json& sample) {
      samples->Add(task_idx, sample);
    };
  }
  std::vector<eval::EvaluationTask> tasks;  // checked before models are opened
  std::vector<std::optional<eval::Gate>> gates;
  for (const std::string& file : options.tasks) {
    task::TaskSpec spec = task::ReadTaskSpec(file);
    task::Dataset dataset =
        task::ReadDataset(spec, options.split, DataDirectory(spec, options.data), options.limit);
    gates.emplace_back(ReadGate(options.fail_if, spec));
    tasks.push_back({std::move(spec), options.split, std::move(dataset)});
  }
  const SplitModels models = OpenModels(options.models);
  if (!models.names.empty() && !evaluate.device.is_cpu()) {
    warnings.push_back(StrCat("the sparse runner has no GPU kernels: only the dense row runs on ",
                              evaluate.device.str(), ", and times do not compare"));
  }
  const io::Checkpoint dense =
      model::OpenCheckpoint(options.dense.empty() ? options.models.front() : options.dense);

  std::vector<eval::EvaluationReport> reports =
      eval::Evaluate(dense, models.Named(), tasks, evaluate, progress);
  for (size_t i = 0; i < reports.size(); ++i) {
    if (gates[i]) eval::ApplyGate(*gates[i], options.fail_if, reports[i]);
  }
  std::vector<std::string>& shown = reports.front().warnings;
  shown.insert(shown.begin(), warnings.begin(), warnings.end());
  if (samples) samples->Commit();
  return reports;
}

}  // namespace moefy::pipeline
