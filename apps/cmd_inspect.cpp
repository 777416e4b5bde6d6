// moefy inspect: what a checkpoint holds.
#include "command.h"
#include "moefy/base/strings.h"
#include "moefy/pipeline/inspect.h"

namespace moefy::apps {
namespace {

std::string Describe(const pipeline::Inspection& inspection) {
  const model::ModelConfig& config = inspection.config;
  const auto count = [](auto value) { return FormatCount(static_cast<uint64_t>(value)); };
  std::string layers = StrCat(config.num_encoder_layers, " encoder");
  if (config.num_decoder_layers > 0) layers += StrCat(" + ", config.num_decoder_layers, " decoder");
  std::vector<std::string> dtypes;
  for (const auto& [name, bytes] : inspection.bytes_by_dtype) {
    dtypes.push_back(name + " " + FormatBytes(bytes));
  }
  std::vector<std::string> sizes;
  for (const int64_t size : inspection.expert_sizes) sizes.push_back(std::to_string(size));
  std::string out;
  out += StrCat("family        ", config.family, ", ", layers, " layers, width ", config.hidden,
                ", ", config.num_heads, " heads of ", config.head_dim, "\n");
  out += StrCat("FFNs          ", inspection.ffns.size(), " of ", count(config.num_neurons),
                " neurons, ", model::ActivationName(config.activation),
                config.gated ? ", gated" : "", "\n");
  out += StrCat("parameters    ", count(inspection.num_parameters), ", of which in FFNs ",
                FormatFixed(100.0 * static_cast<double>(inspection.ffn_parameters) /
                                static_cast<double>(inspection.num_parameters),
                            1),
                " %\n");
  out +=
      StrCat("stored        ", count(inspection.num_tensors), " tensors in ", inspection.num_files,
             inspection.num_files == 1 ? " file, " : " files, ", Join(dtypes), "\n");
  if (inspection.num_experts > 0) {
    out += StrCat("split into    ", inspection.num_experts, " experts per FFN, routers ",
                  inspection.has_routers ? "trained" : "not trained yet", "\n");
  } else {
    out += StrCat("expert sizes  ", sizes.empty() ? "none divides" : Join(sizes), "\n");
  }
  return out;
}

Outcome RunInspect(const pipeline::InspectOptions& options, Context& context) {
  const pipeline::Inspection inspection = pipeline::Inspect(options.checkpoint);
  context.warnings = inspection.warnings;
  Outcome outcome;
  outcome.text = Describe(inspection);
  outcome.json = pipeline::InspectionToJson(inspection);
  if (inspection.num_experts == 0 && !inspection.expert_sizes.empty()) {
    outcome.next =
        StrCat("moefy split ", options.checkpoint, " --expert-size ",
               inspection.expert_sizes[inspection.expert_sizes.size() / 2], " --out MOE");
  }
  return outcome;
}

}  // namespace

std::unique_ptr<Command> InspectCommand(CLI::App& parent) {
  return MakeCommand<pipeline::InspectOptions>(
      parent, "inspect", "What a checkpoint holds, from its headers alone.",
      "  moefy inspect t5-large\n  moefy inspect t5-large --json", RunInspect);
}

}  // namespace moefy::apps
