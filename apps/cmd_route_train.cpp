// moefy route-train: trains routers on an activation dump.
#include "base/table.h"
#include "command.h"
#include "moefy/base/strings.h"
#include "moefy/pipeline/route_stage.h"
#include "route/router_report_json.h"

namespace moefy::apps {

Outcome RouteTrainOutcome(const pipeline::RouteTrainResult& result, const std::string& parts,
                          Context& context) {
  context.warnings = result.warnings;
  if (result.shard) return ShardOutcome(*result.shard, parts);
  const auto percent = [](double share) { return FormatFixed(100 * share, 1); };
  std::vector<std::vector<std::string>> rows;
  Json json = Json::array();
  for (const route::RouterReport& report : result.reports) {
    rows.push_back({report.ffn, FormatCount(static_cast<uint64_t>(report.train_tokens)),
                    std::to_string(report.best_epoch), percent(report.routed.mass),
                    percent(report.oracle.mass), percent(report.neuron_oracle_error),
                    percent(report.oracle_output.output_error), percent(report.routed.output_error),
                    percent(report.final_error), percent(report.neuron_share),
                    percent(report.similarity.output_error), percent(report.random.output_error),
                    std::to_string(report.dead_experts), percent(report.load_entropy),
                    FormatDuration(report.seconds)});
    json.push_back(route::ReportToJson(report));
  }
  Outcome outcome;
  outcome.text =
      StrCat("held-out activation mass caught and relative squared error of the output at ",
             percent(result.metric_ratio), " % of the work (%)\n") +
      FormatTable({"FFN", "tokens", "epoch", "mass", "of oracle", "error: neurons", "experts",
                   "routed", "final", "share", "similarity", "random", "dead", "entropy", "time"},
                  rows);
  outcome.json = {{"moe", result.moe.string()},
                  {"router", result.router},
                  {"target", result.target},
                  {"compensation", result.compensation},
                  {"ffns", json}};
  outcome.next = StrCat("moefy eval ", result.moe.string(), " --task configs/tasks/TASK.json");
  return outcome;
}

namespace {

Outcome RunRouteTrain(const pipeline::RouteTrainOptions& options, Context& context) {
  return RouteTrainOutcome(pipeline::RouteTrain(options, context.if_exists(), *context.progress),
                           options.parts, context);
}

}  // namespace

std::unique_ptr<Command> RouteTrainCommand(CLI::App& parent) {
  return MakeCommand<pipeline::RouteTrainOptions>(
      parent, "route-train", "Train routers that say which experts an input needs.",
      "  moefy route-train MOE --dump dump\n"
      "  moefy route-train MOE --dump dump --preset paper --out MOE2",
      RunRouteTrain);
}

}  // namespace moefy::apps
