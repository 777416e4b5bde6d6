// moefy inspect: what a checkpoint holds.
#include <algorithm>

#include "base/table.h"
#include "command.h"
#include "model/activation.h"
#include "moefy/base/strings.h"
#include "pipeline/inspect.h"

namespace moefy::apps {
namespace {

std::string Describe(const pipeline::Inspection& inspection) {
  const model::ModelConfig& config = inspection.config;
  const auto count = [](auto value) { return FormatCount(static_cast<uint64_t>(value)); };
  std::vector<std::string> stacks, neurons;
  for (const auto& [name, stack] :
       {std::pair{"encoder", config.encoder}, std::pair{"decoder", config.decoder}}) {
    if (stack.num_layers == 0) continue;
    stacks.push_back(StrCat(stack.num_layers, " ", name, " layers with ", stack.num_heads,
                            " heads of ", stack.head_dim));
    neurons.push_back(count(stack.num_neurons));
  }
  if (neurons.size() == 2 && neurons[0] == neurons[1]) neurons.pop_back();
  std::vector<std::string> dtypes;
  for (const auto& [name, bytes] : inspection.bytes_by_dtype) {
    dtypes.push_back(name + " " + FormatBytes(bytes));
  }
  std::vector<std::string> sizes;
  for (const int64_t size : inspection.expert_sizes) sizes.push_back(std::to_string(size));
  std::string out;
  out += StrCat("family        ", config.family, ", width ", config.hidden, ", ",
                Join(stacks, " + "), "\n");
  out += StrCat("head          ", inspection.head, "\n");
  if (const model::MixtureConfig& mixture = config.mixture; mixture.num_experts > 0) {
    out += StrCat(
        "mixture       ", mixture.num_chosen, " of ", mixture.num_experts,
        " experts per token, of ", count(mixture.num_neurons), " neurons",
        mixture.shared_neurons > 0 ? StrCat(", and a shared one of ", count(mixture.shared_neurons))
                                   : "",
        mixture.dense_layers.empty()
            ? ""
            : StrCat("; ", mixture.dense_layers.size(),
                     mixture.dense_layers.size() == 1 ? " layer is" : " layers are", " dense"),
        "\n");
    const auto plain = std::ranges::count_if(
        inspection.ffns, [](const model::FfnSpec& ffn) { return !ffn.of_mixture; });
    if (plain == 0) neurons = {count(mixture.num_neurons)};
  }
  out +=
      StrCat("FFNs          ", inspection.ffns.size(), " of ", Join(neurons, " and "), " neurons, ",
             model::ActivationName(config.activation), config.gated ? ", gated" : "", "\n");
  if (!inspection.packed.empty()) {
    return out + StrCat("stored        packed for running in ", inspection.packed, ", and ",
                        FormatBytes(inspection.num_bytes), " of other tensors: ", Join(dtypes),
                        "\n");
  }
  out += StrCat("parameters    ", count(inspection.num_parameters), ", of which in FFNs ",
                FormatFixed(100.0 * static_cast<double>(inspection.ffn_parameters) /
                                static_cast<double>(inspection.num_parameters),
                            1),
                " %\n");
  out +=
      StrCat("stored        ", count(inspection.num_tensors), " tensors in ", inspection.num_files,
             inspection.num_files == 1 ? " file, " : " files, ", Join(dtypes), "\n");
  if (inspection.num_experts > 0) {
    out +=
        StrCat("split into    ", inspection.num_experts, " experts per FFN, ",
               inspection.num_shared > 0 ? StrCat(inspection.num_shared, " of them shared, ") : "",
               "routers ", inspection.has_routers ? "trained" : "not trained yet", "\n");
  } else {
    out += StrCat("expert sizes  ", sizes.empty() ? "none divides" : Join(sizes), "\n");
  }
  return out;
}

// Lists the tensors, one a line, and their sums.
std::string DescribeTensors(const pipeline::Inspection& inspection) {
  std::vector<std::vector<std::string>> rows;
  for (const io::TensorInfo& info : inspection.tensors) {
    rows.push_back({info.name, std::string(io::DTypeName(info.dtype)), FormatShape(info.shape)});
  }
  return StrCat(FormatTable({"tensor", "dtype", "shape"}, rows), inspection.num_tensors,
                " tensors, ", FormatCount(inspection.num_parameters), " elements, ",
                FormatBytes(inspection.num_bytes), "\n");
}

Outcome RunInspect(const pipeline::InspectOptions& options, Context& context) {
  const pipeline::Inspection inspection = pipeline::Inspect(options.checkpoint);
  context.warnings = inspection.warnings;
  Outcome outcome;
  outcome.text = inspection.has_config ? Describe(inspection) : DescribeTensors(inspection);
  outcome.json = pipeline::InspectionToJson(inspection);
  if (inspection.num_experts == 0 && inspection.packed.empty() &&
      !inspection.expert_sizes.empty()) {
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
