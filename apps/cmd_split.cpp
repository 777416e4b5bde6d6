// moefy split: neurons into experts.
#include "command.h"
#include "moefy/base/strings.h"
#include "moefy/pipeline/split_stage.h"

namespace moefy::apps {

Outcome ShardOutcome(const pipeline::ShardDone& shard, const std::string& parts) {
  Outcome outcome;
  outcome.text = StrCat(parts, ": parts of ", shard.found, " of ", shard.ffns, " FFNs\n");
  outcome.json = {{"parts", parts}, {"found", shard.found}, {"ffns", shard.ffns}};
  if (shard.found == shard.ffns) outcome.next = StrCat("moefy join ", parts, " --out MOE");
  return outcome;
}

Outcome SplitOutcome(const pipeline::SplitResult& result, const std::string& parts,
                     Context& context) {
  context.warnings = result.warnings;
  if (result.shard) return ShardOutcome(*result.shard, parts);
  Outcome outcome;
  outcome.text = StrCat(
      result.moe.string(), ": ", result.num_ffns, " FFNs split by ", result.method, " into ",
      result.num_experts, " experts of ", result.neurons_per_expert, " neurons",
      result.num_shared > 0 ? StrCat(", of which ", result.num_shared, " shared") : "", "\n");
  outcome.json = {{"moe", result.moe.string()},
                  {"method", result.method},
                  {"ffns", result.num_ffns},
                  {"num_experts", result.num_experts},
                  {"neurons_per_expert", result.neurons_per_expert},
                  {"num_shared", result.num_shared},
                  {"seconds", result.seconds}};
  outcome.next = StrCat("moefy route-train ", result.moe.string(), " --dump DUMP");
  return outcome;
}

namespace {

Outcome RunSplit(const pipeline::SplitOptions& options, Context& context) {
  Outcome outcome = SplitOutcome(pipeline::Split(options, context.if_exists(), *context.progress),
                                 options.parts, context);
  if (options.shard.empty()) {
    outcome.next =
        StrCat("moefy verify ", options.checkpoint, " ", options.out, "   or   ", outcome.next);
  }
  return outcome;
}

}  // namespace

std::unique_ptr<Command> SplitCommand(CLI::App& parent) {
  return MakeCommand<pipeline::SplitOptions>(
      parent, "split", "Group each FFN's neurons into experts of equal size.",
      "  moefy split CKPT --expert-size 32 --out MOE\n"
      "  moefy split CKPT --expert-size 32 --method coactivation --dump dump --out MOE\n"
      "  moefy split CKPT --expert-size 32 --shared 2 --dump dump --out MOE\n"
      "  moefy split CKPT --experts 64 --method random --seed 1 --out CONTROL\n"
      "  moefy split CKPT --ffn 'layers.{}.mlp.fc1.weight:layers.{}.mlp.fc2.weight' \\\n"
      "      --experts 16 --out MOE",
      RunSplit);
}

}  // namespace moefy::apps
