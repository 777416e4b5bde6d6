#include "eval/evaluate.h"

#include <algorithm>
#include <map>

#include "ask/metric.h"
#include "ask/prepared_task.h"
#include "ask/translation.h"
#include "base/stopwatch.h"
#include "eval/sample.h"
#include "model/device.h"
#include "model/family.h"
#include "moefy/base/error.h"
#include "moefy/text/tokenizer.h"
#include "route/routed_ffn.h"
#include "runtime/sparse_model.h"

namespace moefy::eval {
namespace {

// What one pass over the data gives, before it is compared with dense.
struct Pass {
  std::vector<ask::Answer> answers;  // one per example
  double seconds = 0;
};

// The dense FFN with a clock and a token count.
class TimedFeedForward final : public model::FeedForward {
 public:
  explicit TimedFeedForward(std::unique_ptr<FeedForward> inner) : inner_(std::move(inner)) {}
  at::Tensor Forward(const at::Tensor& x) override {
    model::WaitFor(x);
    const Stopwatch stopwatch;
    at::Tensor y = inner_->Forward(x);
    model::WaitFor(y);
    seconds_ += stopwatch.Seconds();
    tokens_ += x.size(0);
    return y;
  }
  double seconds() const { return seconds_; }
  int64_t tokens() const { return tokens_; }

 private:
  std::unique_ptr<FeedForward> inner_;
  double seconds_ = 0;
  int64_t tokens_ = 0;
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
  row.agreement = task::MeanEstimate(agreements).value;
  row.kl = task::MeanEstimate(divergences);
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
  row.ffn_flops_ratio =
      dense_flops == 0 ? 0 : (counters.expert_flops + counters.router_flops) / dense_flops;
  row.ffn_seconds = counters.seconds;
  row.tokens = counters.tokens;
  row.weight_bytes_read = counters.weight_bytes_read;
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

Pass DensePass(model::Transformer& model, const ask::PreparedTask& prepared, EvaluationRow& row,
               Progress& progress) {
  std::vector<TimedFeedForward*> timed;
  for (size_t i = 0; i < model.num_ffns(); ++i) {
    auto wrapper = std::make_unique<TimedFeedForward>(model.ExchangeFeedForward(i, nullptr));
    timed.push_back(wrapper.get());
    model.ExchangeFeedForward(i, std::move(wrapper));
  }
  Pass pass = RunPass(model, prepared, progress);
  for (const TimedFeedForward* ffn : timed) {
    row.ffn_seconds += ffn->seconds();
    row.tokens += ffn->tokens();
  }
  return pass;
}

// Always answering the commonest label, of tasks that have labels.
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

EvaluationReport Describe(const task::TaskSpec& spec, const std::string& split_name,
                          const task::Dataset& dataset) {
  EvaluationReport report;
  report.task = spec.name;
  report.split = split_name;
  report.data_file = dataset.file.filename().string();
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

void GiveSamples(const SampleSink& sink, const task::TaskSpec& spec, const task::Dataset& dataset,
                 const EvaluationRow& row, const std::vector<ask::Answer>& answers) {
  if (!sink) return;
  for (size_t i = 0; i < answers.size(); ++i) {
    sink(SampleToJson(spec, row, i, dataset.examples[i], answers[i]));
  }
}

}  // namespace

std::optional<std::pair<double, double>> Interval95(const task::Estimate& estimate) {
  constexpr double kQuantile = 1.959964;  // of the normal distribution, 97.5 %
  if (!estimate.standard_error) return std::nullopt;
  const double half = kQuantile * *estimate.standard_error;
  return std::pair{estimate.value - half, estimate.value + half};
}

EvaluationReport Evaluate(const io::Checkpoint& dense, const std::vector<NamedModel>& models,
                          const task::TaskSpec& spec, const std::string& split_name,
                          const task::Dataset& dataset, const EvaluateOptions& options,
                          Progress& progress) {
  for (const route::Selection& selection : options.selections) {
    for (const NamedModel& named : models) route::CheckServes(*named.moe, selection);
  }
  const auto tokenizer = text::LoadTokenizer(dense.directory(), {}, ask::LanguagesOf(spec));
  EvaluationReport report = Describe(spec, split_name, dataset);

  const model::ModelConfig config = model::ReadModelConfig(dense);
  const model::GenerationOptions generation =
      ask::ReadGeneration(dense.directory(), config, *tokenizer, &report.warnings);
  const auto prepared = ask::PrepareTask(spec, dataset, config, *tokenizer, generation);

  EvaluationRow dense_row;
  dense_row.selection = "dense";
  progress.Begin(StrCat(spec.name, ": dense"), prepared->num_steps(), "inputs");
  model::Transformer dense_model =
      model::LoadTransformer(dense, &report.warnings, model::Parts::kAll, options.device);
  const Pass base = DensePass(dense_model, *prepared, dense_row, progress);
  Compare(spec, dataset, base, base, dense_row);
  progress.End(RowSummary(spec, dense_row));
  GiveSamples(options.sample_sink, spec, dataset, dense_row, base.answers);
  report.rows.push_back(dense_row);

  for (const NamedModel& named : models) {
    runtime::SparseModel sparse(*named.moe, options.seed, options.weights, progress);
    for (const route::Selection& given : options.selections) {
      const route::Selection selection = route::NameStored(*named.moe, given);
      for (const double ffn_ratio : options.ffn_ratios) {
        EvaluationRow row;
        row.model = named.name;
        row.selection = selection.Text();
        row.is_bound = route::FindRouterKind(selection.router) == nullptr;
        row.ffn_ratio = ffn_ratio;
        progress.Begin(StrCat(spec.name, ": ", RowTitle(named.name, row.selection, ffn_ratio)),
                       prepared->num_steps(), "inputs");
        sparse.Install(selection, ffn_ratio);
        const Pass pass = RunPass(sparse.transformer(), *prepared, progress);
        Compare(spec, dataset, pass, base, row);
        ReportCost(sparse, row);
        progress.End(RowSummary(spec, row));
        GiveSamples(options.sample_sink, spec, dataset, row, pass.answers);
        report.rows.push_back(row);
      }
    }
  }
  return report;
}

}  // namespace moefy::eval
