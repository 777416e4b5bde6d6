#include "moefy/eval/evaluate.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "moefy/base/error.h"
#include "moefy/eval/batches.h"
#include "moefy/model/family.h"
#include "moefy/runtime/sparse_model.h"
#include "moefy/text/tokenizer.h"

namespace moefy::eval {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// What one pass over the data gives, before it is compared with dense.
struct Pass {
  std::vector<std::vector<float>> scores;  // per example, per label
  double seconds = 0;
};

// The dense FFN with a clock and a token count.
class TimedFeedForward final : public model::FeedForward {
 public:
  explicit TimedFeedForward(std::unique_ptr<FeedForward> inner) : inner_(std::move(inner)) {}
  at::Tensor Forward(const at::Tensor& x) override {
    const auto start = std::chrono::steady_clock::now();
    at::Tensor y = inner_->Forward(x);
    seconds_ += SecondsSince(start);
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

Pass RunPass(model::Transformer& model, const TaskReader& reader, const std::vector<Batch>& batches,
             int64_t num_examples, Progress& progress) {
  const at::NoGradGuard no_grad;
  Pass pass;
  pass.scores.resize(num_examples);
  for (const Batch& batch : batches) {
    const auto start = std::chrono::steady_clock::now();
    const model::ForwardOutputs outputs = model.Forward(batch.inputs);
    pass.seconds += SecondsSince(start);
    const at::Tensor scores = reader.LabelScores(outputs).contiguous();  // [batch, labels]
    const auto* values = scores.data_ptr<float>();
    for (size_t row = 0; row < batch.example_idxs.size(); ++row) {
      const float* begin = values + static_cast<int64_t>(row) * scores.size(1);
      pass.scores[batch.example_idxs[row]].assign(begin, begin + scores.size(1));
    }
    progress.Advance(batch.example_idxs.size());
  }
  return pass;
}

std::vector<int64_t> Predictions(const Pass& pass) {
  std::vector<int64_t> predictions;
  for (const auto& scores : pass.scores) predictions.push_back(task::ArgMax(scores));
  return predictions;
}

// The quality columns of a row.
void Compare(const Pass& pass, const Pass& dense, const std::vector<int64_t>& labels,
             EvaluationRow& row) {
  const std::vector<int64_t> got = Predictions(pass), base = Predictions(dense);
  std::vector<double> differences, divergences;
  int64_t agreed = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    differences.push_back(static_cast<double>(got[i] == labels[i]) -
                          static_cast<double>(base[i] == labels[i]));
    divergences.push_back(task::KlDivergence(dense.scores[i], pass.scores[i]));
    agreed += got[i] == base[i];
  }
  row.accuracy = task::Accuracy(got, labels);
  row.difference = task::MeanEstimate(differences);
  row.kl = task::MeanEstimate(divergences);
  row.agreement = static_cast<double>(agreed) / static_cast<double>(got.size());
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

std::string RowSummary(const EvaluationRow& row) {
  return StrCat("accuracy ", FormatFixed(100 * row.accuracy.value, 2), " %");
}

Pass DensePass(model::Transformer& model, const TaskReader& reader,
               const std::vector<Batch>& batches, int64_t num_examples, EvaluationRow& row,
               Progress& progress) {
  std::vector<TimedFeedForward*> timed;
  for (size_t i = 0; i < model.num_ffns(); ++i) {
    auto wrapper = std::make_unique<TimedFeedForward>(model.ExchangeFeedForward(i, nullptr));
    timed.push_back(wrapper.get());
    model.ExchangeFeedForward(i, std::move(wrapper));
  }
  Pass pass = RunPass(model, reader, batches, num_examples, progress);
  for (const TimedFeedForward* ffn : timed) {
    row.ffn_seconds += ffn->seconds();
    row.tokens += ffn->tokens();
  }
  return pass;
}

}  // namespace

EvaluationReport Evaluate(const io::Checkpoint& dense, const std::vector<NamedModel>& models,
                          const task::TaskSpec& spec, const std::string& split_name,
                          const task::Dataset& dataset, const EvaluateOptions& options,
                          Progress& progress) {
  std::vector<const split::MoeCheckpoint*> checkpoints;
  for (const NamedModel& named : models) checkpoints.push_back(named.moe);
  runtime::CheckSelections(options.selections, checkpoints);
  const auto tokenizer = text::LoadTokenizer(dense.directory());
  EvaluationReport report;
  report.task = spec.name;
  report.split = split_name;
  report.data_file = dataset.file.filename().string();
  report.num_examples = static_cast<int64_t>(dataset.examples.size());
  std::vector<int64_t> labels;
  std::map<int64_t, int64_t> label_counts;
  for (const task::Example& example : dataset.examples) {
    labels.push_back(example.label_idx);
    ++label_counts[example.label_idx];
  }
  for (const auto& [label_idx, count] : label_counts) {
    report.majority_share = std::max(
        report.majority_share, static_cast<double>(count) / static_cast<double>(labels.size()));
  }
  for (const task::Label& label : spec.labels) report.labels.push_back(label.value);

  const model::ModelConfig config = model::ReadModelConfig(dense);
  const TaskReader reader(spec, config, *tokenizer);
  const std::vector<Batch> batches =
      MakeBatches(reader.Encode(dataset), config, tokenizer->pad_id());
  const auto num_examples = static_cast<uint64_t>(report.num_examples);

  EvaluationRow dense_row;
  dense_row.selection = "dense";
  progress.Begin(StrCat(spec.name, ": dense"), num_examples, "examples");
  model::Transformer dense_model = model::LoadTransformer(dense, &report.warnings);
  const Pass base =
      DensePass(dense_model, reader, batches, report.num_examples, dense_row, progress);
  Compare(base, base, labels, dense_row);
  progress.End(RowSummary(dense_row));
  report.rows.push_back(dense_row);

  for (const NamedModel& named : models) {
    runtime::SparseModel sparse(*named.moe, options.seed, options.weights, progress);
    for (const std::string& selection : options.selections) {
      for (const double ffn_ratio : options.ffn_ratios) {
        EvaluationRow row;
        row.model = named.name;
        row.selection = selection;
        row.ffn_ratio = ffn_ratio;
        progress.Begin(StrCat(spec.name, ": ", RowTitle(named.name, selection, ffn_ratio)),
                       num_examples, "examples");
        sparse.Install(selection, ffn_ratio);
        const Pass pass =
            RunPass(sparse.transformer(), reader, batches, report.num_examples, progress);
        Compare(pass, base, labels, row);
        ReportCost(sparse, row);
        progress.End(RowSummary(row));
        report.rows.push_back(row);
      }
    }
  }
  return report;
}

Json ReportToJson(const EvaluationReport& report) {
  const auto estimate = [](const task::Estimate& e) {
    return Json{{"value", e.value}, {"standard_error", e.standard_error}};
  };
  Json rows = Json::array();
  for (const EvaluationRow& row : report.rows) {
    rows.push_back({{"model", row.model},
                    {"selection", row.selection},
                    {"ffn_ratio", row.ffn_ratio},
                    {"accuracy", estimate(row.accuracy)},
                    {"difference_to_dense", estimate(row.difference)},
                    {"agreement_with_dense", row.agreement},
                    {"kl_from_dense", estimate(row.kl)},
                    {"measured_ffn_ratio", row.measured_ffn_ratio},
                    {"ffn_flops_ratio_with_router", row.ffn_flops_ratio},
                    {"seconds", row.seconds},
                    {"ffn_seconds", row.ffn_seconds},
                    {"ffn_tokens", row.tokens},
                    {"expert_weight_bytes_read", row.weight_bytes_read}});
  }
  return {{"task", report.task},
          {"split", report.split},
          {"data_file", report.data_file},
          {"examples", report.num_examples},
          {"labels", report.labels},
          {"majority_share", report.majority_share},
          {"rows", rows},
          {"warnings", report.warnings}};
}

}  // namespace moefy::eval
