#include <memory>

#include "moefy/base/error.h"
#include "moefy/model/open_checkpoint.h"
#include "moefy/pipeline/eval_stage.h"
#include "pipeline/task_data.h"

namespace moefy::pipeline {
namespace {

// "out/moe-kmeans/" -> "moe-kmeans"
std::string ModelName(const std::filesystem::path& path) {
  const std::filesystem::path normal = path.lexically_normal();
  return normal.has_filename() ? normal.filename().string()
                               : normal.parent_path().filename().string();
}

}  // namespace

std::vector<eval::EvaluationReport> Eval(const EvalOptions& options, Progress& progress) {
  if (options.models.empty()) throw UsageError("eval needs a model");
  if (options.tasks.empty()) {
    throw UsageError("eval needs --task: a task file, e.g. configs/tasks/sst2.json");
  }
  eval::EvaluateOptions evaluate;
  evaluate.ffn_ratios = options.ffn_ratios;
  evaluate.selections = options.selections;
  evaluate.weights = runtime::ParseWeightFormat(options.weights);
  evaluate.seed = static_cast<uint64_t>(options.seed);
  for (const double ratio : options.ffn_ratios) {
    if (!(ratio > 0 && ratio <= 1)) {
      throw UsageError("--ffn-ratio is ", ratio, "; expected a share above 0 and at most 1");
    }
  }
  std::vector<std::pair<task::TaskSpec, task::Dataset>> tasks;  // checked before models are loaded
  for (const std::string& file : options.tasks) {
    task::TaskSpec spec = task::ReadTaskSpec(file);
    task::Dataset dataset =
        task::ReadDataset(spec, options.split, DataDirectory(spec, options.data), options.limit);
    tasks.emplace_back(std::move(spec), std::move(dataset));
  }
  std::vector<split::MoeCheckpoint> checkpoints;
  std::vector<std::string> names;
  for (const std::string& model : options.models) {
    if (!split::MoeCheckpoint::IsMoe(model)) {
      if (options.models.size() > 1) {
        throw UsageError(model, " is not a split checkpoint; give the dense one as --dense");
      }
      continue;
    }
    checkpoints.push_back(split::MoeCheckpoint::Open(model));
    names.push_back(ModelName(model));
  }
  std::vector<eval::NamedModel> models;
  for (size_t i = 0; i < checkpoints.size(); ++i) models.push_back({names[i], &checkpoints[i]});
  const io::Checkpoint dense =
      model::OpenCheckpoint(options.dense.empty() ? options.models.front() : options.dense);

  std::vector<eval::EvaluationReport> reports;
  for (const auto& [spec, dataset] : tasks) {
    reports.push_back(
        eval::Evaluate(dense, models, spec, options.split, dataset, evaluate, progress));
  }
  return reports;
}

}  // namespace moefy::pipeline
