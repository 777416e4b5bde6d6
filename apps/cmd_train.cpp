// moefy finetune, sparsify and calibrate: training on a task, dense or split.
#include "base/table.h"
#include "command.h"
#include "moefy/base/strings.h"
#include "pipeline/sparsify_stage.h"
#include "pipeline/train_stages.h"

namespace moefy::apps {
namespace {

std::string MeanPercent(const std::vector<double>& shares) {
  return FormatFixed(100 * train::MeanShare(shares), 1);
}

Outcome Report(const pipeline::TrainResult& result, Context& context) {
  context.warnings = result.warnings;
  const train::TrainingReport& report = result.report;
  std::vector<std::string> header = {"step", "loss", "held-out loss"};
  for (const double ratio : report.ffn_ratios) {
    header.push_back(StrCat(report.metric, " at ", FormatFixed(100 * ratio, 0), " %"));
  }
  const bool pressed = !report.history.front().active.empty();
  if (pressed) header.emplace_back("fire, %");
  header.emplace_back("");
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < report.history.size(); ++i) {
    const train::Measurement& point = report.history[i];
    std::vector<std::string> row = {std::to_string(point.step),
                                    i == 0 ? "" : FormatFixed(point.loss, 4),
                                    FormatFixed(point.held_out_loss, 4)};
    for (const double metric : point.metrics) row.push_back(FormatFixed(metric, 4));
    if (pressed) row.push_back(MeanPercent(point.active));
    row.emplace_back(i == report.best ? "kept" : "");
    rows.push_back(std::move(row));
  }
  Outcome outcome;
  outcome.text =
      StrCat(FormatCount(static_cast<uint64_t>(report.num_trained)), " parameters trained on ",
             FormatCount(static_cast<uint64_t>(report.num_sequences)), " sequences in ",
             FormatDuration(report.seconds), "; ",
             FormatCount(static_cast<uint64_t>(report.num_held_out)), " examples held out\n") +
      FormatTable(header, rows);
  outcome.json = {{"out", result.out.string()}};
  outcome.json.update(train::ReportToJson(report));
  return outcome;
}

// The flags that name the task again.
std::string TaskFlags(const pipeline::TrainStageOptions& options) {
  return StrCat(" --task ", options.task, options.data.empty() ? "" : " --data " + options.data);
}

Outcome RunFinetune(const pipeline::FinetuneOptions& options, Context& context) {
  Outcome outcome =
      Report(pipeline::Finetune(options, context.if_exists(), *context.progress), context);
  outcome.next = StrCat("moefy record ", options.out, TaskFlags(options.training), " --out dump");
  return outcome;
}

// What fires in the original and in the result, FFN by FFN.
std::string FormatActive(const pipeline::SparsifyResult& result) {
  const train::TrainingReport& report = result.training.report;
  const train::Measurement& kept = report.history[report.best];
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < result.ffns.size(); ++i) {
    rows.push_back({result.ffns[i], FormatFixed(100 * result.original_active[i], 1),
                    FormatFixed(100 * kept.active[i], 1)});
  }
  rows.push_back({"mean", MeanPercent(result.original_active), MeanPercent(kept.active)});
  const std::string change = result.activation == result.original_activation
                                 ? "the activation stays " + result.activation
                                 : result.activation + " in place of " + result.original_activation;
  return StrCat("\nNeurons that fire, %; ", change, ":\n",
                FormatTable({"FFN", "original", "sparse"}, rows),
                "\nOn what was held out the original has ", report.metric, " ",
                FormatFixed(result.original_metric, 4), ", the sparse model ",
                FormatFixed(kept.metrics.front(), 4), ".\n");
}

Outcome RunSparsify(const pipeline::SparsifyOptions& options, Context& context) {
  const pipeline::SparsifyResult result =
      pipeline::Sparsify(options, context.if_exists(), *context.progress);
  Outcome outcome = Report(result.training, context);
  outcome.text += FormatActive(result);
  outcome.json["activation"] = result.activation;
  outcome.json["ffns"] = result.ffns;
  outcome.json["original"] = {{"activation", result.original_activation},
                              {"metric", result.original_metric},
                              {"active", result.original_active}};
  outcome.next =
      StrCat("moefy record ", options.out,
             options.text.empty() ? TaskFlags(options.training) : " --text " + options.text,
             " --out dump");
  return outcome;
}

Outcome RunCalibrate(const pipeline::CalibrateOptions& options, Context& context) {
  Outcome outcome =
      Report(pipeline::Calibrate(options, context.if_exists(), *context.progress), context);
  outcome.next = StrCat("moefy eval ", options.out, " --dense CKPT", TaskFlags(options.training));
  return outcome;
}

}  // namespace

std::unique_ptr<Command> FinetuneCommand(CLI::App& parent) {
  return MakeCommand<pipeline::FinetuneOptions>(
      parent, "finetune", "Train a dense model on a task.",
      "  moefy finetune CKPT --task configs/tasks/sst2.json --data DATA --out tuned\n"
      "  moefy finetune DIR --from-scratch --task my-task.json --epochs 10 --out model",
      RunFinetune);
}

std::unique_ptr<Command> SparsifyCommand(CLI::App& parent) {
  return MakeCommand<pipeline::SparsifyOptions>(
      parent, "sparsify", "Train a dense model until few of its neurons fire, before the split.",
      "  moefy sparsify CKPT --task configs/tasks/sst2.json --data DATA --active 0.1 --out sparse\n"
      "  moefy sparsify CKPT --text corpus.txt --lora-rank 16 --out sparse",
      RunSparsify);
}

std::unique_ptr<Command> CalibrateCommand(CLI::App& parent) {
  return MakeCommand<pipeline::CalibrateOptions>(
      parent, "calibrate", "Train a split model on a task, through the experts its routers choose.",
      "  moefy calibrate MOE --task configs/tasks/sst2.json --data DATA --out calibrated\n"
      "  moefy calibrate MOE --task my-task.json --ffn-ratio 0.1,0.2,0.3 --distill 0.5 --out MOE2",
      RunCalibrate);
}

}  // namespace moefy::apps
