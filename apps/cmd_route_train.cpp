// moefy route-train: routers from an activation dump.
#include "command.h"
#include "moefy/base/strings.h"
#include "moefy/eval/report.h"
#include "moefy/pipeline/route_stage.h"

namespace moefy::apps {
namespace {

Outcome RunRouteTrain(const pipeline::RouteTrainOptions& options, Context& context) {
  const pipeline::RouteTrainResult result =
      pipeline::RouteTrain(options, context.if_exists(), *context.progress);
  const auto percent = [](double share) { return FormatFixed(100 * share, 1); };
  Outcome outcome;
  std::vector<std::vector<std::string>> rows;
  Json json = Json::array();
  for (const pipeline::RouteTrainRow& row : result.rows) {
    rows.push_back({row.ffn, FormatCount(static_cast<uint64_t>(row.train_tokens)),
                    std::to_string(row.best_epoch), percent(row.mlp_mass), percent(row.mlp_recall),
                    percent(row.similarity_mass), percent(row.random_mass),
                    percent(row.oracle_mass), FormatDuration(row.seconds)});
    json.push_back({{"ffn", row.ffn},
                    {"train_tokens", row.train_tokens},
                    {"held_out_tokens", row.held_out_tokens},
                    {"best_epoch", row.best_epoch},
                    {"mlp_mass", row.mlp_mass},
                    {"mlp_recall", row.mlp_recall},
                    {"similarity_mass", row.similarity_mass},
                    {"random_mass", row.random_mass},
                    {"oracle_mass", row.oracle_mass},
                    {"seconds", row.seconds}});
  }
  outcome.text = StrCat("held-out activation mass caught at ", percent(options.metric_ratio),
                        " % of the neurons (%)\n") +
                 eval::FormatTable({"FFN", "tokens", "epoch", "mlp", "mlp recall", "similarity",
                                    "random", "oracle", "time"},
                                   rows);
  outcome.json = {{"moe", result.moe.string()}, {"ffns", json}};
  outcome.next = StrCat("moefy eval ", result.moe.string(), " --task configs/tasks/TASK.json");
  return outcome;
}

}  // namespace

std::unique_ptr<Command> RouteTrainCommand(CLI::App& parent) {
  return MakeCommand<pipeline::RouteTrainOptions>(
      parent, "route-train", "Train routers that say which experts an input needs.",
      "  moefy route-train MOE --dump dump\n"
      "  moefy route-train MOE --dump dump --epochs 10 --out MOE2",
      RunRouteTrain);
}

}  // namespace moefy::apps
