#include "eval/evaluate.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "ask/metric.h"
#include "ask/prepared_task.h"
#include "ask/tokenizers.h"
#include "ask/translation.h"
#include "base/stopwatch.h"
#include "eval/sample.h"
#include "eval/timed_feed_forwards.h"
#include "model/family.h"
#include "moefy/base/error.h"
#include "moefy/text/tokenizer.h"
#include "route/routed_ffn.h"
#include "runtime/dense_model.h"
#include "runtime/sparse_model.h"
#include "task/metrics.h"

namespace moefy::eval {
namespace {

// What one pass over the data gives, before it is compared with dense.
struct Pass {
  std::vector<ask::Answer> answers;  // one per example
  double seconds = 0;
};

Pass RunPass(model::Transformer& model, const ask::PreparedTask& prepared, Progress& progress) {
  Pass pass;
  const Stopwatch stopwatch;
  pass.answers = prepared.Ask(model, progress);
  pass.seconds = stopwatch.Seconds();
  return pass;
}

// A row of distributions over classes, [distributions, classes].
std::vector<float> ScoresOf(const ask::Answer& answer, int64_t idx) {
  const at::Tensor row = answer.scores[idx].contiguous();
  return {row.data_ptr<float>(), row.data_ptr<float>() + row.numel()};
}

// How alike the answers are to those of dense, whatever is right.
void CompareAnswers(task::TaskKind kind, const std::vector<ask::Answer>& got,
                    const std::vector<ask::Answer>& base, EvaluationRow& row) {
  std::vector<double> agreements, divergences;
  for (size_t i = 0; i < got.size(); ++i) {
    for (size_t k = 0; k < base[i].likeliest.size(); ++k) {
      agreements.push_back(got[i].likeliest[k] == base[i].likeliest[k]);
    }
    // Texts beyond the limit on windows have no answer.
    if (base[i].nats.empty() && !task::IsOnlyText(kind)) {
      agreements.push_back(got[i].label_idx == base[i].label_idx && got[i].text == base[i].text);
    }
    if (!base[i].scores.defined()) continue;
    for (int64_t k = 0; k < base[i].scores.size(0); ++k) {
      divergences.push_back(task::KlDivergence(ScoresOf(base[i], k), ScoresOf(got[i], k)));
    }
  }
  row.agreement_with_dense = task::MeanEstimate(agreements).value;
  row.kl_from_dense = task::MeanEstimate(divergences);
}

// The quality columns of a row.
void Compare(const task::TaskSpec& spec, const task::Dataset& dataset, const Pass& pass,
             const Pass& dense, EvaluationRow& row) {
  for (const std::string& name : task::MetricNames(spec)) {
    const ask::Metric& metric = ask::GetMetric(spec.kind, name);
    const task::Figure figure = ask::Measure(metric, dataset.examples, pass.answers);
    const task::Figure base = ask::Measure(metric, dataset.examples, dense.answers);
    row.metrics.push_back({name, task::ToEstimate(figure), task::Difference(figure, base)});
  }
  CompareAnswers(spec.kind, pass.answers, dense.answers, row);
  row.seconds = pass.seconds;
}

// The cost columns of a row.
void ReportCost(const runtime::SparseModel& model, EvaluationRow& row) {
  const runtime::SparseCounters counters = model.Counters();
  const double dense_flops = model.DenseFlops();
  row.measured_ffn_ratio = counters.FfnRatio();
  row.ffn_flops_ratio_with_router =
      dense_flops == 0 ? 0 : (counters.expert_flops + counters.router_flops) / dense_flops;
  row.ffn_seconds = counters.seconds;
  row.ffn_tokens = counters.tokens;
  row.expert_weight_bytes_read = counters.weight_bytes_read;
}

std::string RowTitle(const std::string& model, const std::string& selection, double ffn_ratio) {
  return StrCat(model.empty() ? "" : model + " ", selection, " at ",
                FormatFixed(100 * ffn_ratio, ffn_ratio < 0.1 ? 1 : 0), " %");
}

std::string RowSummary(const task::TaskSpec& spec, const EvaluationRow& row) {
  const MetricValue& metric = row.metric();
  return StrCat(metric.name, " ",
                ask::GetMetric(spec.kind, metric.name).is_share
                    ? FormatFixed(100 * metric.value.value, 2) + " %"
                    : FormatFixed(metric.value.value, 4));
}

// The share of right answers if the commonest label were always given, for tasks that have labels.
double MajorityShare(const task::TaskSpec& spec, const task::Dataset& dataset) {
  if (spec.kind != task::TaskKind::kClassification &&
      spec.kind != task::TaskKind::kMultipleChoice) {
    return 0;
  }
  std::map<int64_t, int64_t> counts;
  int64_t most = 0;
  for (const task::Example& example : dataset.examples) {
    most = std::max(most, ++counts[example.label_idx]);
  }
  return static_cast<double>(most) / static_cast<double>(dataset.examples.size());
}

EvaluationReport Describe(const EvaluationTask& task) {
  const auto& [spec, split, dataset] = task;
  EvaluationReport report;
  report.task = spec.name;
  report.split = split;
  std::vector<std::string> files;
  for (const std::filesystem::path& file : dataset.files) files.push_back(file.filename().string());
  report.data_file = Join(files);
  report.kind = spec.kind;
  report.num_examples = static_cast<int64_t>(dataset.examples.size());
  report.metrics = task::MetricNames(spec);
  report.majority_share = MajorityShare(spec, dataset);
  if (spec.kind == task::TaskKind::kClassification && report.majority_share == 1 &&
      report.num_examples > 1) {
    report.warnings.push_back(
        StrCat(report.data_file, ": every example has the label ",
               Quoted(spec.labels[static_cast<size_t>(dataset.examples[0].label_idx)].value),
               ", so accuracy tells nothing of the others"));
  }
  for (const task::Label& label : spec.labels) report.labels.push_back(label.value);
  return report;
}

// A task from the moment when its examples are encoded to its last row. Neither copied nor moved:
// `prepared` refers to what lies beside it.
struct TaskInProgress {
  TaskInProgress(size_t idx, const EvaluationTask& evaluated)
      : task_idx(idx), task(evaluated), report(Describe(evaluated)) {}
  TaskInProgress(const TaskInProgress&) = delete;
  TaskInProgress& operator=(const TaskInProgress&) = delete;

  size_t task_idx;
  const EvaluationTask& task;
  EvaluationReport report;
  model::GenerationOptions generation = {};
  std::unique_ptr<ask::PreparedTask> prepared = {};
  Pass dense = {};  // what every row is compared with
};

// Compares a pass with dense, reports it as a row and gives its samples.
void FinishRow(TaskInProgress& running, EvaluationRow row, const Pass& pass,
               const EvaluateOptions& options, Progress& progress) {
  const auto& [spec, split, dataset] = running.task;
  Compare(spec, dataset, pass, running.dense, row);
  progress.End(RowSummary(spec, row));
  if (options.sample_sink) {
    for (size_t i = 0; i < pass.answers.size(); ++i) {
      options.sample_sink(running.task_idx,
                          SampleToJson(spec, row, i, dataset.examples[i], pass.answers[i]));
    }
  }
  running.report.rows.push_back(std::move(row));
}

// The rows of all tasks of a model that runs densely: "dense", which is what all rows are compared
// with, or "packed". The model is gone when this returns.
void RunDense(model::Transformer model, const std::string& selection, const std::string& weights,
              std::deque<TaskInProgress>& tasks, const EvaluateOptions& options,
              Progress& progress) {
  TimedFeedForwards timed(model);
  for (TaskInProgress& running : tasks) {
    EvaluationRow row;
    row.selection = selection;
    row.weights = weights;
    progress.Begin(StrCat(running.report.task, ": ", selection), running.prepared->num_steps(),
                   "inputs");
    timed.Restart();
    Pass pass = RunPass(model, *running.prepared, progress);
    row.ffn_seconds = timed.Seconds();
    row.ffn_tokens = timed.NumTokens();
    if (selection == kDense) running.dense = pass;
    FinishRow(running, std::move(row), pass, options, progress);
  }
}

// Makes the rows of one split model, for all tasks.
void RunSparse(const NamedModel& named, std::deque<TaskInProgress>& tasks,
               const EvaluateOptions& options, Progress& progress) {
  runtime::SparseModel model(*named.moe, options.seed, options.weights, progress);
  for (TaskInProgress& running : tasks) {
    for (const route::Selection& given : options.selections) {
      const route::Selection selection = route::NameStored(*named.moe, given);
      for (const double ffn_ratio : options.ffn_ratios) {
        EvaluationRow row;
        row.model = named.name;
        row.selection = selection.Text();
        row.weights = runtime::WeightFormatName(options.weights);
        row.is_bound = route::FindRouterKind(selection.router) == nullptr;
        row.ffn_ratio = ffn_ratio;
        progress.Begin(
            StrCat(running.report.task, ": ", RowTitle(named.name, row.selection, ffn_ratio)),
            running.prepared->num_steps(), "inputs");
        // The model starts anew for every row, so that a random selection begins alike for every
        // task.
        model.Install(selection, ffn_ratio);
        const Pass pass = RunPass(model.transformer(), *running.prepared, progress);
        ReportCost(model, row);
        FinishRow(running, std::move(row), pass, options, progress);
      }
    }
  }
}

}  // namespace

std::optional<std::pair<double, double>> Interval95(const task::Estimate& estimate) {
  constexpr double kQuantile = 1.959964;  // of the normal distribution, 97.5 %
  if (!estimate.standard_error) return std::nullopt;
  const double half = kQuantile * *estimate.standard_error;
  return std::pair{estimate.value - half, estimate.value + half};
}

std::vector<EvaluationReport> Evaluate(const io::Checkpoint& dense,
                                       const std::vector<NamedModel>& models,
                                       const std::vector<EvaluationTask>& tasks,
                                       const EvaluateOptions& options, Progress& progress) {
  for (const route::Selection& selection : options.selections) {
    for (const NamedModel& named : models) route::CheckServes(*named.moe, selection);
  }
  ask::Tokenizers tokenizers(dense);
  const model::ModelConfig config = model::ReadModelConfig(dense);
  std::deque<TaskInProgress> in_progress;  // none of them moves
  for (const EvaluationTask& task : tasks) {
    TaskInProgress& running = in_progress.emplace_back(in_progress.size(), task);
    const text::Tokenizer& tokenizer = tokenizers.Get(ask::LanguagesOf(task.spec));
    running.generation = ask::ReadGeneration(dense.directory(), dense.ConfigText(), config,
                                             tokenizer, &running.report.warnings);
    running.prepared =
        ask::PrepareTask(task.spec, task.dataset, config, tokenizer, running.generation);
  }
  std::vector<std::string> warnings;
  RunDense(model::LoadTransformer(dense, &warnings, model::Parts::kAll, options.device), kDense,
           "f32", in_progress, options, progress);
  for (TaskInProgress& running : in_progress) {
    std::vector<std::string>& shown = running.report.warnings;
    shown.insert(shown.end(), warnings.begin(), warnings.end());
  }
  if (!models.empty() || options.weights != runtime::WeightFormat::kF32) {
    RunDense(runtime::LoadPackedTransformer(dense, options.weights, nullptr, progress), kPacked,
             runtime::WeightFormatName(options.weights), in_progress, options, progress);
  }
  for (const NamedModel& named : models) RunSparse(named, in_progress, options, progress);
  std::vector<EvaluationReport> reports;
  for (TaskInProgress& running : in_progress) reports.push_back(std::move(running.report));
  return reports;
}

}  // namespace moefy::eval
