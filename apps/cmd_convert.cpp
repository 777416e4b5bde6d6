// moefy convert: all stages from one JSON file, or of a model and a task.
#include "command.h"
#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "pipeline/check_recipe.h"
#include "pipeline/convert.h"
#include "pipeline/convert_output.h"
#include "pipeline/default_recipe.h"

namespace moefy::apps {
namespace {

struct ConvertOptions {
  std::vector<std::string> recipes;
  std::string out;
  std::string model;
  std::string data;
  std::vector<std::string> tasks;
  std::string max_loss;
  bool dry_run = false;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("recipe", recipes, "recipe files; or the directory of one dense checkpoint");
    v.Field("out", out, "directory of the result; with several recipes, one directory each in it");
    v.Field("task", tasks, "of a checkpoint without a recipe: the task files that it is for");
    v.Field("model", model, "dense checkpoint, instead of the recipe's");
    v.Field("data", data, "directory of the tasks' data files, instead of the recipe's");
    v.Field("max-loss", max_loss,
            "what the tasks' metrics may lose, e.g. 0.5%: the ratio that keeps to it is looked for "
            "on the split train");
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
  Json json = {{"out", result.out.string()}, {"stages", stages}, {"reports", result.reports}};
  if (result.choice) json["choice"] = pipeline::ChoiceToJson(*result.choice);
  return json;
}

// Whether what the command got is a checkpoint in place of a recipe.
bool IsCheckpoint(const ConvertOptions& options) {
  std::error_code ignored;
  return options.recipes.size() == 1 &&
         std::filesystem::is_directory(options.recipes.front(), ignored);
}

std::vector<pipeline::CheckedRecipe> ReadRecipes(const ConvertOptions& options) {
  if (!options.tasks.empty()) {
    throw UsageError("--task is for a checkpoint without a recipe; a recipe names its tasks");
  }
  std::vector<pipeline::Recipe> recipes;
  for (const std::string& file : options.recipes) {
    recipes.push_back(pipeline::ReadRecipe(file));
    if (!options.model.empty()) recipes.back().model = options.model;
    if (!options.data.empty()) recipes.back().data = options.data;
    if (!options.max_loss.empty()) {
      recipes.back().max_loss = pipeline::ParseMaxLoss(options.max_loss);
    }
  }
  std::vector<pipeline::CheckedRecipe> checked;  // all are checked before any is run
  for (pipeline::Recipe& recipe : recipes) {
    checked.push_back(pipeline::CheckRecipe(std::move(recipe)));
  }
  return checked;
}

// What a command is to convert.
struct Work {
  std::vector<pipeline::CheckedRecipe> recipes;
  std::optional<pipeline::DefaultRecipe> made;  // of a checkpoint without a recipe
};

Work ReadWork(const ConvertOptions& options) {
  if (!IsCheckpoint(options)) return {ReadRecipes(options), {}};
  if (!options.model.empty()) {
    throw UsageError("--model is for recipes; ", options.recipes.front(), " is the model already");
  }
  const io::Checkpoint model = model::OpenTensors(options.recipes.front());
  Work work;
  work.made = pipeline::MakeDefaultRecipe(model, options.tasks, options.data);
  if (!options.max_loss.empty()) {
    work.made->json["max_loss"] = pipeline::ParseMaxLoss(options.max_loss);
  }
  work.recipes.push_back(
      pipeline::CheckRecipe(pipeline::ParseRecipe(work.made->json, pipeline::kRecipeFile), model));
  return work;
}

std::string Percent(double share) { return FormatFixed(100 * share, 2) + " %"; }

// Says which ratio keeps to the loss that is allowed, or what would have to be allowed.
std::string DescribeChoice(const pipeline::ConvertResult& result, double max_loss) {
  if (!result.choice) {
    return StrCat("\nNo ratio keeps to ", Percent(max_loss), " loss on examples of the split train",
                  result.tried.empty()
                      ? ""
                      : StrCat("; the least is ", Percent(result.tried.front().loss), " at ratio ",
                               result.tried.front().ffn_ratio),
                  "\n");
  }
  const pipeline::RatioChoice& choice = *result.choice;
  return StrCat("\nRatio ", choice.ffn_ratio, " of ", choice.model, ", ", choice.selection,
                ", loses ", Percent(choice.loss), " on examples of the split train, within the ",
                Percent(max_loss), " allowed, for ", Percent(choice.flops_ratio),
                " of the FFNs' work; the table has what it loses on other examples\n");
}

// Adds one conversion to the outcome.
void Add(const pipeline::ConvertResult& result, const pipeline::Recipe& recipe, Context& context,
         Outcome& outcome) {
  outcome.text += result.report_text;
  context.warnings.insert(context.warnings.end(), result.warnings.begin(), result.warnings.end());
  for (const Json& report : result.reports) {
    if (!report.at("failures").empty()) outcome.exit_code = 1;
  }
  std::filesystem::path moe = result.moe;
  std::string selection = "stored";
  double ffn_ratio = recipe.eval.ffn_ratios.front();
  if (recipe.max_loss >= 0) outcome.text += DescribeChoice(result, recipe.max_loss);
  if (result.choice) {
    moe = result.out / result.choice->model;
    selection = result.choice->selection;
    ffn_ratio = result.choice->ffn_ratio;
  }
  outcome.next = StrCat("moefy run ", moe.string(), " --task ", recipe.eval.tasks.front(),
                        " --selection ", selection, " --ffn-ratio ", ffn_ratio);
}

Outcome RunConvert(const ConvertOptions& options, Context& context) {
  if (options.recipes.empty()) throw UsageError("convert needs a recipe file, or a checkpoint");
  if (options.out.empty() && !options.dry_run) {
    throw UsageError("convert needs --out: where should the results go?");
  }
  const Work work = ReadWork(options);
  Outcome outcome;
  if (work.made) outcome.text = StrCat("no recipe was given. The model has ", work.made->why, "\n");
  Json conversions = Json::array();
  for (const pipeline::CheckedRecipe& conversion : work.recipes) {
    std::filesystem::path out = options.out.empty() ? "OUT" : options.out;
    if (work.recipes.size() > 1) out /= conversion.recipe.name;
    if (options.dry_run) {
      const pipeline::ConvertPlan plan = pipeline::PlanConvert(conversion, out);
      outcome.text += DescribePlan(plan);
      conversions.push_back(PlanToJson(plan));
      continue;
    }
    const pipeline::ConvertResult result =
        pipeline::Convert(conversion, out, context.common.force, *context.progress);
    conversions.push_back(ResultToJson(result));
    Add(result, conversion.recipe, context, outcome);
  }
  if (work.made && !options.dry_run) {
    const auto file = std::filesystem::path(options.out) / pipeline::kRecipeFile;
    WriteTextFile(file, FormatJson(work.made->json), IfExists::kRenew);
    outcome.text += StrCat("\nThe recipe of this conversion, to change and run again, is ",
                           file.string(), "\n");
  }
  if (work.made) outcome.json["recipe"] = work.made->json;
  outcome.json["conversions"] = conversions;
  return outcome;
}

}  // namespace

std::unique_ptr<Command> ConvertCommand(CLI::App& parent) {
  return MakeCommand<ConvertOptions>(
      parent, "convert",
      "Run every stage from one recipe file, or of a model and a task, resumable.",
      "  moefy convert CKPT --task configs/tasks/sst2.json --data DATA --out out\n"
      "  moefy convert examples/quickstart/recipe.json --out out\n"
      "  moefy convert recipes/*.json --out out --json   # batch conversions in CI",
      RunConvert);
}

}  // namespace moefy::apps
