// moefy sparsity: how sparsely a model's neurons fire.
#include "command.h"
#include "moefy/base/strings.h"
#include "pipeline/sparsity_stage.h"

namespace moefy::apps {
namespace {

Outcome RunSparsity(const pipeline::SparsityOptions& options, Context& context) {
  const pipeline::SparsityResult result =
      pipeline::Sparsity(options, context.if_exists(), *context.progress);
  context.warnings = result.warnings;
  Outcome outcome;
  outcome.text = StrCat(result.corpus, "\n", eval::FormatSparsity(result.ffns));
  outcome.json = {{"corpus", result.corpus},
                  {"ffns", eval::SparsityToJson(result.ffns)},
                  {"plots", result.plots}};
  outcome.next = StrCat("moefy split ", options.checkpoint, " --expert-size 32 --out MOE");
  return outcome;
}

}  // namespace

std::unique_ptr<Command> SparsityCommand(CLI::App& parent) {
  return MakeCommand<pipeline::SparsityOptions>(
      parent, "sparsity", "Study how many neurons fire on each token, and which together.",
      "  moefy sparsity CKPT --task configs/tasks/sst2.json --data DATA --plots plots\n"
      "  moefy sparsity CKPT --dump dump --json",
      RunSparsity);
}

}  // namespace moefy::apps
