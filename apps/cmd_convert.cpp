// moefy convert: all stages from one JSON file, or of a model and a task.
#include "command.h"
#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "pipeline/check_recipe.h"
#include "pipeline/convert.h"
#include "pipeline/convert_output.h"
#include "pipeline/convert_plan.h"
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
  if (result.tried.empty()) return json;
  json["choice"] = result.choice ? pipeline::ChoiceToJson(*result.choice) : Json();
  json["tried"] = Json::array();
  for (const pipeline::RatioChoice& tried : result.tried) {
    json["tried"].push_back(pipeline::ChoiceToJson(tried));
  }
  return json;
}

// Whether what the command got is a checkpoint in place of a recipe.
bool IsCheckpoint(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) ||
         (std::filesystem::exists(path, ignored) && path.extension() != ".json");
}

std::vector<pipeline::CheckedRecipe> ReadRecipes(const ConvertOptions& options) {
  for (const std::string& file : options.recipes) {
    if (!std::filesystem::exists(file)) throw UsageError(file, ": no such file or directory");
    if (IsCheckpoint(file)) {
      throw UsageError(file, " is a checkpoint; convert takes one of them, or recipe files");
    }
  }
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
  std::string why;  // of a checkpoint without a recipe
};

Work ReadWork(const ConvertOptions& options) {
  if (options.recipes.size() > 1 || !IsCheckpoint(options.recipes.front())) {
    return {ReadRecipes(options), ""};
  }
  if (!options.model.empty()) {
    throw UsageError("--model is for recipes; ", options.recipes.front(), " is the model already");
  }
  const io::Checkpoint model = model::OpenTensors(options.recipes.front());
  pipeline::DefaultRecipe made =
      pipeline::MakeDefaultRecipe(options.recipes.front(), model, options.tasks, options.data);
  if (!options.max_loss.empty()) {
    made.json["max_loss"] = pipeline::ParseMaxLoss(options.max_loss);
  }
  Work work{{}, made.why};
  work.recipes.push_back(
      pipeline::CheckRecipe(pipeline::ParseRecipe(made.json, pipeline::kRecipeFile), model));
  work.recipes.back().made = std::move(made.json);
  return work;
}

std::string Percent(double share) { return FormatFixed(100 * share, 2) + " %"; }

// Says which ratio keeps to the loss that is allowed, or what would have to be allowed.
std::string DescribeChoice(const pipeline::ConvertResult& result, const pipeline::Recipe& recipe) {
  constexpr const char* kTrain = "train";
  const double max_loss = recipe.max_loss;
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
                ", loses ", choice.loss > 0 ? Percent(choice.loss) : "nothing",
                " on examples of the split train, within the ", Percent(max_loss), " allowed, for ",
                Percent(choice.flops_ratio), " of the FFNs' work",
                recipe.eval.split == kTrain
                    ? "; the table is of the same split, so it says nothing more"
                    : "; the table has what it loses on other examples",
                "\n");
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
  if (recipe.max_loss >= 0) outcome.text += DescribeChoice(result, recipe);
  if (!result.tried.empty()) {  // the first of them loses the least
    const pipeline::RatioChoice& choice = result.choice.value_or(result.tried.front());
    moe = result.out / choice.model;
    selection = choice.selection;
    ffn_ratio = choice.ffn_ratio;
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
  if (!work.why.empty()) {
    outcome.text = StrCat("no recipe was given. The model has ", work.why, "\n");
  }
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
    if (!conversion.made) continue;
    outcome.text += StrCat("\nThe recipe of this conversion, to change and run again, is ",
                           (out / pipeline::kRecipeFile).string(), "\n");
  }
  if (work.recipes.front().made) outcome.json["recipe"] = *work.recipes.front().made;
  outcome.json["conversions"] = conversions;
  return outcome;
}

}  // namespace

std::unique_ptr<Command> ConvertCommand(CLI::App& parent) {
  return MakeCommand<ConvertOptions>(
      parent, "convert", "Run every stage, from a recipe or for a model and a task; resumable.",
      "  moefy convert CKPT --task configs/tasks/sst2.json --data DATA --out out\n"
      "  moefy convert examples/quickstart/recipe.json --out out\n"
      "  moefy convert recipes/*.json --out out --json   # batch conversions in CI",
      RunConvert);
}

}  // namespace moefy::apps
