// moefy convert: all stages from one JSON file.
#include "command.h"
#include "moefy/base/error.h"
#include "pipeline/check_recipe.h"
#include "pipeline/convert.h"

namespace moefy::apps {
namespace {

struct ConvertOptions {
  std::vector<std::string> recipes;
  std::string out;
  std::string model;
  std::string data;
  bool dry_run = false;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("recipe", recipes, "recipe files");
    v.Field("out", out, "directory of the result; with several recipes, one directory each in it");
    v.Field("model", model, "dense checkpoint, instead of the recipe's");
    v.Field("data", data, "directory of the tasks' data files, instead of the recipe's");
    v.Field("dry-run", dry_run, "only say what would be done, from headers alone");
  }
};

std::string DescribePlan(const pipeline::ConvertPlan& plan) {
  const model::ModelConfig& config = plan.model.config;
  std::string out = StrCat("model    ", config.family, ", ", plan.model.ffns.size(), " FFNs of ",
                           config.last_stack().num_neurons, " neurons, ",
                           FormatBytes(plan.model.num_bytes), "\n");
  out += StrCat("stages   ", Join(plan.stages), "\n");
  out += StrCat("memory   at most about ", FormatBytes(plan.peak_memory_bytes), "\n");
  for (const auto& output : plan.outputs) {
    out += StrCat("output   ", output.path, ", at most ", FormatBytes(output.num_bytes), "\n");
  }
  return out;
}

Json PlanToJson(const pipeline::ConvertPlan& plan) {
  Json outputs = Json::array();
  for (const auto& output : plan.outputs) {
    outputs.push_back({{"path", output.path}, {"bytes_at_most", output.num_bytes}});
  }
  return {{"model", pipeline::InspectionToJson(plan.model)},
          {"stages", plan.stages},
          {"peak_memory_bytes_at_most", plan.peak_memory_bytes},
          {"outputs", outputs}};
}

Json ResultToJson(const pipeline::ConvertResult& result) {
  Json stages = Json::array();
  for (const pipeline::ConvertStage& stage : result.stages) {
    stages.push_back({{"name", stage.name}, {"kept", stage.kept}, {"seconds", stage.seconds}});
  }
  return {{"out", result.out.string()}, {"stages", stages}, {"reports", result.reports}};
}

Outcome RunConvert(const ConvertOptions& options, Context& context) {
  if (options.recipes.empty()) throw UsageError("convert needs a recipe file");
  if (options.out.empty()) throw UsageError("convert needs --out: where should the results go?");
  std::vector<pipeline::Recipe> recipes;
  for (const std::string& file : options.recipes) {
    recipes.push_back(pipeline::ReadRecipe(file));
    if (!options.model.empty()) recipes.back().model = options.model;
    if (!options.data.empty()) recipes.back().data = options.data;
  }
  std::vector<pipeline::CheckedRecipe> checked;  // all are checked before any is run
  for (pipeline::Recipe& recipe : recipes) {
    checked.push_back(pipeline::CheckRecipe(std::move(recipe)));
  }
  Outcome outcome;
  Json conversions = Json::array();
  for (const pipeline::CheckedRecipe& conversion : checked) {
    const pipeline::Recipe& recipe = conversion.recipe;
    std::filesystem::path out = options.out;
    if (checked.size() > 1) out /= recipe.name;
    if (options.dry_run) {
      const pipeline::ConvertPlan plan = pipeline::PlanConvert(conversion, out);
      outcome.text += DescribePlan(plan);
      conversions.push_back(PlanToJson(plan));
      continue;
    }
    const pipeline::ConvertResult result =
        pipeline::Convert(conversion, out, context.common.force, *context.progress);
    outcome.text += result.report_text;
    context.warnings.insert(context.warnings.end(), result.warnings.begin(), result.warnings.end());
    conversions.push_back(ResultToJson(result));
    for (const Json& report : result.reports) {
      if (!report.at("failures").empty()) outcome.exit_code = 1;
    }
    outcome.next = StrCat("moefy run ", result.moe.string(), " --task ", recipe.eval.tasks.front(),
                          " --selection stored --ffn-ratio ", recipe.eval.ffn_ratios.front());
  }
  outcome.json["conversions"] = conversions;
  return outcome;
}

}  // namespace

std::unique_ptr<Command> ConvertCommand(CLI::App& parent) {
  return MakeCommand<ConvertOptions>(
      parent, "convert", "Run every stage from one recipe file, resumable.",
      "  moefy convert examples/quickstart/recipe.json --out out\n"
      "  moefy convert recipes/*.json --out out --json   # batch conversions in CI",
      RunConvert);
}

}  // namespace moefy::apps
