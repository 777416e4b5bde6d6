// moefy pack: a model whose weights are stored as the kernels read them.
#include "command.h"
#include "moefy/base/strings.h"
#include "pipeline/pack_stage.h"

namespace moefy::apps {
namespace {

Outcome RunPack(const pipeline::PackOptions& options, Context& context) {
  const pipeline::PackResult result =
      pipeline::Pack(options, context.if_exists(), *context.progress);
  context.warnings = result.warnings;
  Outcome outcome;
  outcome.text = StrCat(result.out.string(), ": ", FormatBytes(result.bytes_after), " in ",
                        result.weights, ", of ", FormatBytes(result.bytes_before), "\n");
  outcome.json = {{"out", result.out.string()},
                  {"weights", result.weights},
                  {"bytes_before", result.bytes_before},
                  {"bytes_after", result.bytes_after}};
  outcome.next = StrCat("moefy run ", result.out.string(), " ",
                        result.is_split ? "--selection stored --ffn-ratio 0.3 " : "", "\"TEXT\"");
  return outcome;
}

}  // namespace

std::unique_ptr<Command> PackCommand(CLI::App& parent) {
  return MakeCommand<pipeline::PackOptions>(
      parent, "pack",
      "Store a model's weights in 8 or 4 bits as they are run, which starts it at once.",
      "  moefy pack CKPT --weights int4 --out PACKED\n"
      "  moefy pack MOE --weights int8 --out PACKED",
      RunPack);
}

}  // namespace moefy::apps
