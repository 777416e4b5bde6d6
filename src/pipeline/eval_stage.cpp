#include "moefy/pipeline/eval_stage.h"

#include <optional>
#include <utility>

#include "base/options.h"
#include "eval/evaluate.h"
#include "eval/fail_if.h"
#include "model/device.h"
#include "model/open_checkpoint.h"
#include "model/unusable_weights.h"
#include "moefy/base/error.h"
#include "pipeline/sample_file.h"
#include "pipeline/task_data.h"
#include "route/selection.h"
#include "runtime/packed_file.h"

namespace moefy::pipeline {
namespace {

// "out/moe-kmeans/" -> "moe-kmeans"
std::string ModelName(const std::filesystem::path& path) {
  const std::filesystem::path normal = path.lexically_normal();
  return normal.has_filename() ? normal.filename().string()
                               : normal.parent_path().filename().string();
}

std::optional<eval::FailIf> ReadFailIf(const std::string& condition, const task::TaskSpec& spec) {
  if (condition.empty()) return std::nullopt;
  return WithContext(StrCat("--fail-if, task ", Quoted(spec.name)),
                     [&] { return eval::FailIf(condition, eval::FigureNames(spec)); });
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

// The model that all rows are compared with: without --dense, the split one's own weights.
io::Checkpoint OpenDense(const EvalOptions& options, const SplitModels& models,
                         const std::optional<io::Checkpoint>& opened) {
  if (opened) return *opened;
  if (!options.dense.empty()) return model::OpenCheckpoint(options.dense);
  if (models.checkpoints.empty()) return model::OpenCheckpoint(options.models.front());
  const io::Checkpoint& weights = models.checkpoints.front().weights();
  if (model::HoldsPackedWeights(weights)) {
    throw UsageError(weights.directory(), " holds packed weights only; eval compares with a dense ",
                     "model in F32: give the checkpoint that it was made from as --dense");
  }
  return weights;
}

// What the options say, parsed.
struct ParsedOptions {
  eval::EvaluateOptions evaluate;
  std::vector<task::TaskSpec> tasks;
  std::vector<std::optional<eval::FailIf>> fail_if;  // per task
};

ParsedOptions Parse(const EvalOptions& options) {
  ParsedOptions parsed;
  if (options.tasks.empty()) {
    throw UsageError("eval needs --task: a task file, e.g. configs/tasks/sst2.json");
  }
  if (options.ffn_ratios.empty()) throw UsageError("--ffn-ratio is empty; expected at least one");
  for (const double ratio : options.ffn_ratios) {
    RequireOption(ratio > 0 && ratio <= 1, "ffn-ratio", ratio, "a share above 0 and at most 1");
  }
  parsed.evaluate.ffn_ratios = options.ffn_ratios;
  parsed.evaluate.selections = route::ParseSelections(options.selections);
  // Without --weights the format depends on the models, which are opened later.
  if (!options.weights.empty()) {
    parsed.evaluate.weights = runtime::ParseWeightFormat(options.weights);
  }
  parsed.evaluate.seed = static_cast<uint64_t>(options.seed);
  parsed.evaluate.device = model::ParseDevice(options.device);
  parsed.tasks = ReadTasks(options.tasks, options.split);
  for (const task::TaskSpec& spec : parsed.tasks) {
    parsed.fail_if.push_back(ReadFailIf(options.fail_if, spec));
  }
  return parsed;
}

}  // namespace

void CheckEvalOptions(const EvalOptions& options) { Parse(options); }

std::vector<eval::EvaluationReport> Eval(const EvalOptions& options, IfExists if_exists,
                                         Progress& progress,
                                         const std::optional<io::Checkpoint>& opened) {
  if (options.models.empty()) throw UsageError("eval needs a model");
  ParsedOptions parsed = Parse(options);
  eval::EvaluateOptions& evaluate = parsed.evaluate;
  std::vector<std::string> warnings;
  evaluate.device = model::ResolveDevice(evaluate.device, &warnings);
  std::optional<SampleFile> samples;
  if (!options.samples.empty()) {
    InputPaths inputs = TaskInputs(parsed.tasks, options.split, options.data);
    inputs.insert(inputs.end(), options.models.begin(), options.models.end());
    inputs.emplace_back(options.dense);
    samples.emplace(options.samples, options.tasks.size(), if_exists, inputs);
    evaluate.sample_sink = [&](size_t task_idx, const Json& sample) {
      samples->Add(task_idx, sample);
    };
  }
  std::vector<eval::EvaluationTask> tasks;  // their data is read before models are opened
  for (task::TaskSpec& spec : parsed.tasks) {
    task::Dataset dataset =
        task::ReadDataset(spec, options.split, DataDirectory(spec, options.data), options.limit);
    tasks.push_back({std::move(spec), options.split, std::move(dataset)});
  }
  const SplitModels models = OpenModels(options.models);
  if (!models.names.empty() && !evaluate.device.is_cpu()) {
    warnings.push_back(StrCat("the sparse runner has no GPU kernels: only the dense row runs on ",
                              evaluate.device.str(), ", and times do not compare"));
  }
  const io::Checkpoint dense = OpenDense(options, models, opened);
  evaluate.weights = runtime::WantedFormat(
      options.weights, models.checkpoints.empty() ? dense : models.checkpoints.front().weights());

  std::vector<eval::EvaluationReport> reports =
      eval::Evaluate(dense, models.Named(), tasks, evaluate, progress);
  for (size_t i = 0; i < reports.size(); ++i) {
    if (parsed.fail_if[i]) eval::ApplyFailIf(*parsed.fail_if[i], options.fail_if, reports[i]);
  }
  std::vector<std::string>& shown = reports.front().warnings;
  shown.insert(shown.begin(), warnings.begin(), warnings.end());
  if (samples) samples->Commit();
  return reports;
}

}  // namespace moefy::pipeline
