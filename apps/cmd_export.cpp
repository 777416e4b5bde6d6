// moefy export: a split checkpoint as a mixture of experts that other engines run.
#include "command.h"
#include "moefy/base/strings.h"
#include "pipeline/export_stage.h"

namespace moefy::apps {
namespace {

Outcome RunExport(const pipeline::ExportOptions& options, Context& context) {
  const pipeline::ExportResult result =
      pipeline::Export(options, context.if_exists(), *context.progress);
  context.warnings = result.warnings;
  const std::string shared =
      result.shared > 0 ? StrCat(" and ", result.shared, " shared ones") : "";
  Outcome outcome;
  outcome.text =
      StrCat(result.out.string(), ": ", FormatBytes(result.bytes), " as ", result.format, ", ",
             result.chosen, " of ", result.experts, " experts", shared, " for every token",
             result.format == "transformers" ? " at most" : "", "\n");
  outcome.json = {{"out", result.out.string()},
                  {"format", result.format},
                  {"architecture", result.architecture},
                  {"experts", result.experts},
                  {"experts_per_token", result.chosen},
                  {"shared", result.shared},
                  {"router", result.router},
                  {"bytes", result.bytes}};
  return outcome;
}

}  // namespace

std::unique_ptr<Command> ExportCommand(CLI::App& parent) {
  return MakeCommand<pipeline::ExportOptions>(
      parent, "export", "Make a split checkpoint a mixture of experts that other engines run.",
      "  moefy export MOE --format transformers --ffn-ratio 0.25 --out WITH_PYTHON\n"
      "  moefy export MOE --format granite-moe --ffn-ratio 0.5 --out GRANITE\n"
      "  moefy export MOE --format qwen2-moe --ffn-ratio 0.25 --dump DUMP --out QWEN\n"
      "  moefy export MOE --format gguf --weights q8_0 --ffn-ratio 0.5 --out GGUF",
      RunExport);
}

}  // namespace moefy::apps
