#include "pipeline/default_recipe.h"

#include <filesystem>

#include "model/activation.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "moefy/base/error.h"
#include "pipeline/task_data.h"

namespace moefy::pipeline {
namespace {

std::string Absolute(const std::string& path) {
  return path.empty() ? "" : std::filesystem::absolute(path).lexically_normal().string();
}

// The largest size of at most `wanted` neurons that divides every FFN.
int64_t ExpertSize(const model::ModelConfig& config, int64_t wanted) {
  const std::vector<model::FfnSpec> specs = model::FfnSpecs(config);
  const auto divides = [&](int64_t size) {
    return std::ranges::all_of(
        specs, [&](const model::FfnSpec& spec) { return spec.num_neurons % size == 0; });
  };
  while (!divides(wanted)) --wanted;
  return wanted;
}

// What a kind of model gets: docs/results/first-product.md and docs/results/pretrained.md.
struct Way {
  int64_t expert_size;
  Json route;
  std::vector<double> ffn_ratios;
  std::vector<std::string> selections;
  int64_t max_tokens;  // recorded
  const char* words;
};

Way WayFor(const model::ModelConfig& config) {
  if (config.gated && !config.activation.makes_zeros()) {
    return {1,
            {{"preset", "first-product"}, {"metric_ratio", 0.5}},
            {0.25, 0.5, 0.625, 1},
            {"stored:threshold", "stored"},
            16384,
            "neurons chosen one by one by the first product"};
  }
  return {ExpertSize(config, 8),
          {{"preset", "fast"}, {"output_fit", true}, {"fit_ratio", {0.1, 0.2, 0.3, 0.5, 1}}},
          {0.1, 0.2, 0.3, 0.5, 1},
          {"stored", "oracle-output"},
          65536,
          "small experts, routers by least squares, W_out fitted"};
}

}  // namespace

DefaultRecipe MakeDefaultRecipe(const std::string& path, const io::Checkpoint& model,
                                const std::vector<std::string>& tasks, const std::string& data) {
  if (tasks.empty()) {
    throw UsageError("without a recipe, convert needs --task: what is ", path,
                     " for? A task file, e.g. configs/tasks/sst2.json");
  }
  ReadTasks(tasks, "train");
  ReadTasks(tasks, "eval");
  const model::ModelConfig config = model::ReadModelConfig(model);
  const Way way = WayFor(config);
  std::vector<std::string> files;
  for (const std::string& task : tasks) files.push_back(Absolute(task));
  DefaultRecipe recipe;
  recipe.json = {{"model", Absolute(path)},
                 {"data", Absolute(data)},
                 {"record", {{"task", files}, {"split", "train"}, {"max_tokens", way.max_tokens}}},
                 {"split", Json::array({{{"method", "kmeans"}, {"expert_size", way.expert_size}}})},
                 {"route", way.route},
                 {"eval",
                  {{"task", files},
                   {"split", "eval"},
                   {"ffn_ratio", way.ffn_ratios},
                   {"selection", way.selections}}}};
  recipe.why = StrCat(config.gated ? "a gated FFN with " : "an FFN with ",
                      model::ActivationName(config.activation), ": ", way.words, "; experts of ",
                      way.expert_size, way.expert_size == 1 ? " neuron" : " neurons");
  return recipe;
}

}  // namespace moefy::pipeline
