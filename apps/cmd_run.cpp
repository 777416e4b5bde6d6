// moefy run: raw tensors in, raw tensors out.
#include "command.h"
#include "moefy/base/strings.h"
#include "moefy/pipeline/run_tensors.h"

namespace moefy::apps {
namespace {

Outcome RunRun(const pipeline::RunOptions& options, Context& context) {
  const pipeline::RunResult result =
      pipeline::RunTensors(options, context.if_exists(), *context.progress);
  Outcome outcome;
  outcome.text = Join(result.tensors, "\n") + "\n";
  outcome.json = {{"out", options.out}, {"tensors", result.tensors}, {"seconds", result.seconds}};
  return outcome;
}

}  // namespace

std::unique_ptr<Command> RunCommand(CLI::App& parent) {
  return MakeCommand<pipeline::RunOptions>(
      parent, "run", "Run a model on raw tensors, dense or sparse.",
      "  moefy run CKPT --tensors in.safetensors --out out.safetensors --hidden-states --ffn-taps\n"
      "  moefy run MOE --selection mlp --ffn-ratio 0.2 --tensors in.safetensors --out "
      "out.safetensors",
      RunRun);
}

}  // namespace moefy::apps
