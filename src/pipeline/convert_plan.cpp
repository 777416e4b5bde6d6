#include "pipeline/convert_plan.h"

#include <algorithm>

namespace moefy::pipeline {

ConvertPlan PlanConvert(const CheckedRecipe& checked, const std::filesystem::path& out) {
  const Recipe& recipe = checked.recipe;
  ConvertPlan plan;
  plan.model = checked.inspection;
  const model::ModelConfig& config = plan.model.config;
  const auto num_ffns = static_cast<uint64_t>(plan.model.ffns.size());
  const uint64_t row_bytes = static_cast<uint64_t>(config.hidden) * sizeof(float);
  plan.stages = {"inspect", "record"};
  if (recipe.sparsify) {
    plan.stages.insert(plan.stages.begin() + 1, "sparsify");
    plan.outputs.push_back({(out / "sparse").string(), plan.model.num_bytes});
  }
  plan.outputs.push_back({(out / "dump").string(),
                          num_ffns * static_cast<uint64_t>(recipe.record.max_tokens) * row_bytes});
  for (const RecipeSplit& split : recipe.splits) {
    const int64_t num_experts = ExpertsPerFfn(plan.model.ffns, WithPreset(split.options)).back();
    const auto experts = static_cast<uint64_t>(num_experts);
    const uint64_t router_bytes =
        num_ffns * experts * (static_cast<uint64_t>(config.hidden) + experts) * sizeof(float);
    plan.stages.push_back("split " + split.name);
    plan.outputs.push_back({(out / ("split-" + split.name)).string(), plan.model.num_bytes});
    for (const RecipeRoute& route : recipe.routes) {
      if (!route.Serves(split)) continue;
      const std::string name = RoutedName(split, route);
      plan.stages.push_back("route-train " + name);
      // The weights are hard links to the split's where the file system has them.
      plan.outputs.push_back(
          {(out / ("moe-" + name)).string(), plan.model.num_bytes + router_bytes});
      if (!recipe.calibrate) continue;
      plan.stages.push_back("calibrate " + name);
      plan.outputs.push_back(
          {(out / ("calibrated-" + name)).string(), plan.model.num_bytes + router_bytes});
    }
  }
  if (recipe.max_loss >= 0) plan.stages.emplace_back("choose a ratio");
  plan.stages.emplace_back("eval");
  // Memory holds one model in F32 at a time, the FFNs of a sparse one twice more (as an oracle
  // reads them, and as they are read to be packed), and one shard of the dump per FFN.
  const uint64_t model_bytes = plan.model.num_parameters * sizeof(float);
  const uint64_t ffn_bytes = plan.model.ffn_parameters * sizeof(float);
  plan.peak_memory_bytes = model_bytes + 2 * ffn_bytes + num_ffns * (uint64_t{64} << 20);
  // A training holds weights, gradients, two moments, the best weights so far and the parent;
  // activations come on top.
  if (recipe.calibrate || recipe.sparsify)
    plan.peak_memory_bytes = std::max(plan.peak_memory_bytes, 6 * model_bytes);
  return plan;
}

}  // namespace moefy::pipeline
