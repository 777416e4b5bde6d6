#include <cerrno>
#include <fstream>
#include <memory>
#include <optional>

#include "base/options.h"
#include "base/own_output.h"
#include "eval/gate.h"
#include "model/device.h"
#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "moefy/base/json.h"
#include "moefy/pipeline/eval_stage.h"
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

// Lines of JSON that appear as a whole file or not at all.
class SampleFile {
 public:
  SampleFile(const std::filesystem::path& path, IfExists if_exists, const InputPaths& inputs)
      : staged_(path, if_exists, inputs),
        out_(staged_.path(), std::ios::binary | std::ios::trunc) {}

  void Add(const Json& sample) {
    out_ << FormatOwnLine(sample);
    if (!out_) throw SystemError(errno, staged_.path(), ": cannot be written");
  }
  void Commit() {
    out_.close();
    if (!out_) throw SystemError(errno, staged_.path(), ": cannot be written");
    staged_.Commit();
  }

 private:
  StagedFile staged_;
  std::ofstream out_;
};

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
  eval::EvaluateOptions evaluate;
  evaluate.ffn_ratios = options.ffn_ratios;
  evaluate.selections = route::ParseSelections(options.selections);
  evaluate.weights = runtime::ParseWeightFormat(options.weights);
  evaluate.seed = static_cast<uint64_t>(options.seed);
  std::vector<std::string> warnings;
  evaluate.device = model::ResolveDevice(model::ParseDevice(options.device), &warnings);
  std::optional<SampleFile> samples;
  if (!options.samples.empty()) {
    InputPaths inputs = TaskInputs(options.tasks, options.split, options.data);
    inputs.insert(inputs.end(), options.models.begin(), options.models.end());
    inputs.emplace_back(options.dense);
    samples.emplace(options.samples, if_exists, inputs);
  }
  if (samples) evaluate.sample_sink = [&](const Json& sample) { samples->Add(sample); };
  std::vector<std::pair<task::TaskSpec, task::Dataset>> tasks;  // checked before models are loaded
  std::vector<std::optional<eval::Gate>> gates;
  for (const std::string& file : options.tasks) {
    task::TaskSpec spec = task::ReadTaskSpec(file);
    task::Dataset dataset =
        task::ReadDataset(spec, options.split, DataDirectory(spec, options.data), options.limit);
    gates.emplace_back(ReadGate(options.fail_if, spec));
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
  if (!models.empty() && !evaluate.device.is_cpu()) {
    warnings.push_back(StrCat("the sparse runner has no GPU kernels: only the dense row runs on ",
                              evaluate.device.str(), ", and times do not compare"));
  }
  const io::Checkpoint dense =
      model::OpenCheckpoint(options.dense.empty() ? options.models.front() : options.dense);

  std::vector<eval::EvaluationReport> reports;
  for (size_t i = 0; i < tasks.size(); ++i) {
    const auto& [spec, dataset] = tasks[i];
    reports.push_back(
        eval::Evaluate(dense, models, spec, options.split, dataset, evaluate, progress));
    if (gates[i]) eval::ApplyGate(*gates[i], options.fail_if, reports.back());
  }
  std::vector<std::string>& shown = reports.front().warnings;
  shown.insert(shown.begin(), warnings.begin(), warnings.end());
  if (samples) samples->Commit();
  return reports;
}

}  // namespace moefy::pipeline
