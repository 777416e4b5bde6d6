// moefy route-train: routers from an activation dump.
#include "base/table.h"
#include "command.h"
#include "moefy/base/strings.h"
#include "moefy/pipeline/route_stage.h"

namespace moefy::apps {
namespace {

Json QualityToJson(const pipeline::RouteQuality& quality) {
  return {
      {"mass", quality.mass}, {"recall", quality.recall}, {"output_error", quality.output_error}};
}

Outcome RunRouteTrain(const pipeline::RouteTrainOptions& options, Context& context) {
  const pipeline::RouteTrainResult result =
      pipeline::RouteTrain(options, context.if_exists(), *context.progress);
  context.warnings = result.warnings;
  const auto percent = [](double share) { return FormatFixed(100 * share, 1); };
  Outcome outcome;
  std::vector<std::vector<std::string>> rows;
  Json json = Json::array();
  for (const pipeline::RouteTrainRow& row : result.rows) {
    rows.push_back(
        {row.ffn, FormatCount(static_cast<uint64_t>(row.train_tokens)),
         std::to_string(row.best_epoch), percent(row.routed.mass), percent(row.oracle.mass),
         percent(row.neuron_oracle_error), percent(row.oracle_output.output_error),
         percent(row.routed.output_error), percent(row.final_error), percent(row.neuron_share),
         percent(row.similarity.output_error), percent(row.random.output_error),
         std::to_string(row.dead_experts), percent(row.load_entropy), FormatDuration(row.seconds)});
    json.push_back({{"ffn", row.ffn},
                    {"train_tokens", row.train_tokens},
                    {"held_out_tokens", row.held_out_tokens},
                    {"best_epoch", row.best_epoch},
                    {"routed", QualityToJson(row.routed)},
                    {"similarity", QualityToJson(row.similarity)},
                    {"random", QualityToJson(row.random)},
                    {"oracle", QualityToJson(row.oracle)},
                    {"oracle_output", QualityToJson(row.oracle_output)},
                    {"neuron_oracle_output_error", row.neuron_oracle_error},
                    {"final_output_error", row.final_error},
                    {"neuron_share", row.neuron_share},
                    {"compensated", row.compensated},
                    {"calibrated", row.calibrated},
                    {"corrected", row.corrected},
                    {"dead_experts", row.dead_experts},
                    {"load_entropy", row.load_entropy},
                    {"load", row.load},
                    {"fit_seconds", row.fit_seconds},
                    {"seconds", row.seconds}});
  }
  outcome.text =
      StrCat("held-out activation mass caught and relative squared error of the output at ",
             percent(options.metric_ratio), " % of the work (%)\n") +
      FormatTable({"FFN", "tokens", "epoch", "mass", "of oracle", "error: neurons", "experts",
                   "routed", "final", "share", "similarity", "random", "dead", "entropy", "time"},
                  rows);
  outcome.json = {{"moe", result.moe.string()},
                  {"router", result.options.router},
                  {"target", result.options.target},
                  {"compensation", result.options.compensation},
                  {"ffns", json}};
  outcome.next = StrCat("moefy eval ", result.moe.string(), " --task configs/tasks/TASK.json");
  return outcome;
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
