// moefy eval: downstream quality against dense.
#include "command.h"
#include "eval/report.h"
#include "moefy/pipeline/eval_stage.h"

namespace moefy::apps {
namespace {

Outcome RunEval(const pipeline::EvalOptions& options, Context& context) {
  Outcome outcome;
  Json json = Json::array();
  for (const eval::EvaluationReport& report :
       pipeline::Eval(options, context.if_exists(), *context.progress)) {
    outcome.text += eval::FormatEvaluation(report) + "\n";
    json.push_back(eval::ReportToJson(report));
    if (!report.failures.empty()) outcome.exit_code = 1;
    context.warnings.insert(context.warnings.end(), report.warnings.begin(), report.warnings.end());
  }
  outcome.json["reports"] = json;
  if (!options.samples.empty()) outcome.json["samples"] = options.samples;
  return outcome;
}

}  // namespace

std::unique_ptr<Command> EvalCommand(CLI::App& parent) {
  return MakeCommand<pipeline::EvalOptions>(
      parent, "eval", "Quality, cost and time of a split model on tasks, against dense.",
      "  moefy eval MOE --task configs/tasks/sst2.json --data DATA --ffn-ratio 0.1,0.2,1.0\n"
      "  moefy eval MOE-A MOE-B --dense CKPT --task my-task.json --selection stored,oracle --json\n"
      "  moefy eval MOE --task my-task.json --selection stored --ffn-ratio 0.2 --fail-if 'accuracy "
      "< "
      "0.98*dense'",
      RunEval);
}

}  // namespace moefy::apps
