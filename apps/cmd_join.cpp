// moefy join: one result of what shards found.
#include "command.h"
#include "moefy/base/strings.h"
#include "moefy/pipeline/join_stage.h"

namespace moefy::apps {
namespace {

Outcome RunJoin(const pipeline::JoinOptions& options, Context& context) {
  const pipeline::JoinResult result =
      pipeline::JoinParts(options, context.if_exists(), *context.progress);
  if (result.split) return SplitOutcome(*result.split, options.parts, context);
  return RouteTrainOutcome(*result.routers, options.parts, context);
}

}  // namespace

std::unique_ptr<Command> JoinCommand(CLI::App& parent) {
  return MakeCommand<pipeline::JoinOptions>(
      parent, "join", "Make the result of a split or route-train whose --shard runs are all done.",
      "  moefy split CKPT --expert-size 32 --parts parts --shard 1/2   # on one machine\n"
      "  moefy split CKPT --expert-size 32 --parts parts --shard 2/2   # on another\n"
      "  moefy join parts --out MOE",
      RunJoin);
}

}  // namespace moefy::apps
