#include "export/write_transformers.h"

#include <cmath>
#include <limits>

#include "base/output.h"
#include "export/modeling_moefy.h"
#include "export/transformers_class.h"
#include "model/activation.h"
#include "moefy/base/error.h"
#include "moefy/model/tensor_io.h"
#include "split/moe_writer.h"
#include "split/side_files.h"

namespace moefy::exports {
namespace {

constexpr const char* kModule = "modeling_moefy";
constexpr const char* kWeightEnd = ".weight";

// The name of the module that holds a matrix.
std::string ModuleOf(const std::string& tensor) {
  if (tensor.empty() || tensor.ends_with(kWeightEnd)) {
    return tensor.substr(0, tensor.size() - (tensor.empty() ? 0 : 7));
  }
  throw InputError("tensor ", Quoted(tensor), " is not the weight of a module, whose inputs and ",
                   "outputs could be told: its name does not end in ", Quoted(kWeightEnd));
}

// Whether every expert runs, as in moefy's own runner.
bool AllRun(const split::MoeFfn& ffn, const route::RoutedFfn& routed, bool neuronwise) {
  if (neuronwise) return false;
  const auto matrices = static_cast<double>((ffn.spec.gated() ? 3 : 2) * ffn.spec.hidden);
  return route::AllAreLessWork(routed.plan.rule, ffn.plan.num_experts(),
                               ffn.plan.neurons_per_expert(), 2 * matrices,
                               routed.router->FlopsPerToken());
}

// What modeling_moefy.py has to know of an FFN besides tensors.
Json PlanOf(const split::MoeFfn& ffn, const route::RoutedFfn& routed, bool all_run) {
  const route::SelectionRule& rule = routed.plan.rule;
  // A threshold that no score reaches, as JSON has no infinity: none is chosen.
  const bool none = rule.threshold == std::numeric_limits<float>::infinity();
  Json plan = {{"name", ffn.spec.name},
               {"w_in", ModuleOf(ffn.spec.w_in)},
               {"w_gate", nullptr},
               {"w_out", ModuleOf(ffn.spec.w_out)},
               {"activation", model::ActivationName(ffn.spec.activation)},
               {"experts", ffn.plan.num_experts()},
               {"shared", rule.num_shared},
               {"selected", none ? 0 : rule.num_selected},
               {"threshold", nullptr},
               {"of_best", nullptr},
               {"router", nullptr}};
  if (ffn.spec.gated()) plan["w_gate"] = ModuleOf(ffn.spec.w_gate);
  if (std::isfinite(rule.threshold)) plan["threshold"] = rule.threshold;
  if (std::isfinite(rule.of_best)) plan["of_best"] = rule.of_best;
  if (!all_run) plan["router"] = routed.router->name();
  return plan;
}

void AddTensors(const split::MoeFfn& ffn, const route::RoutedFfn& routed, bool all_run,
                model::TensorMap& tensors) {
  const auto add = [&](const std::string& part, const at::Tensor& tensor) {
    if (tensor.defined()) tensors[StrCat(ffn.spec.name, ".", part)] = tensor;
  };
  add("least", routed.plan.min_magnitude);
  if (all_run) return;
  const std::vector<std::string>& names = route::GetRouterKind(routed.router->name()).tensors;
  const std::vector<at::Tensor> parameters = routed.router->Parameters();
  MOEFY_CHECK(names.size() == parameters.size());
  for (size_t i = 0; i < names.size(); ++i) add("router." + names[i], parameters[i]);
  add("compensation", routed.compensation);
  add("correction.down", routed.correction.down);
  add("correction.up", routed.correction.up);
  add("correction.bias", routed.correction.bias);
}

// config.json as it was, with what tells Transformers of the experts.
Json ConfigOf(const split::MoeCheckpoint& moe, Json plans) {
  const std::string where = moe.weights().ConfigPath().string();
  Json config = ParseJsonFile(where, moe.weights().ConfigText());
  if (!moe.config().added_prefix.empty()) {
    throw InputError(moe.directory(), ": the names of its tensors begin with ",
                     Quoted(moe.config().added_prefix), ", and Transformers knows them without");
  }
  const TransformersClass of = FindTransformersClass(config, moe.config(), where);
  config.erase("moefy");
  const auto path = [](const std::string& name) { return StrCat(kModule, ".Moefy", name); };
  config["architectures"] = {of.name};
  config["auto_map"][of.auto_name] = path(of.name);
  if (!of.base_name.empty()) config["auto_map"]["AutoModel"] = path(of.base_name);
  config["moefy_experts"] = std::move(plans);
  return config;
}

}  // namespace

WrittenTransformers WriteTransformers(const split::MoeCheckpoint& moe,
                                      const std::vector<route::RoutedFfn>& ffns,
                                      const std::filesystem::path& directory) {
  if (moe.weights().ConfigText().empty()) {
    throw InputError(moe.directory(), " has no config.json, which Transformers needs");
  }
  const bool neuronwise = route::RunsNeuronwise(moe, route::kStoredRouter);
  Json plans = Json::array();
  model::TensorMap tensors;
  for (size_t i = 0; i < ffns.size(); ++i) {
    const split::MoeFfn& ffn = moe.ffns()[i];
    const bool all_run = AllRun(ffn, ffns[i], neuronwise);
    plans.push_back(PlanOf(ffn, ffns[i], all_run));
    AddTensors(ffn, ffns[i], all_run, tensors);
  }
  WrittenTransformers out;
  const Json config = ConfigOf(moe, std::move(plans));
  out.class_name = config["architectures"][0];
  split::WriteConfigText(directory, FormatJson(config));
  out.warnings = split::CopySideFiles(moe.weights(), directory);
  split::LinkWeights(moe, directory);
  model::WriteTensors(tensors, directory / StrCat(kModule, ".safetensors"));
  WriteTextFile(directory / StrCat(kModule, ".py"), kModelingMoefy, IfExists::kRefuse);
  return out;
}

}  // namespace moefy::exports
