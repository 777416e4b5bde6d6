// moefy convert: all stages from one JSON file, or of a model and a task.
#include "about.h"
#include "base/stopwatch.h"
#include "bench/roofline.h"
#include "command.h"
#include "convert_jobs.h"
#include "junit.h"
#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "pipeline/check_recipe.h"
#include "pipeline/convert.h"
#include "pipeline/convert_output.h"
#include "pipeline/convert_plan.h"
#include "pipeline/convert_work.h"
#include "pipeline/default_recipe.h"
#include "pipeline/tune_stage.h"

namespace moefy::apps {
namespace {

std::string DescribePlan(const pipeline::ConvertPlan& plan,
                         const pipeline::CheckedRecipe& checked) {
  const model::ModelConfig& config = plan.model.config;
  std::string out = StrCat("model    ", config.family, ", ", plan.model.ffns.size(), " FFNs of ",
                           config.last_stack().num_neurons, " neurons, ",
                           FormatBytes(plan.model.num_bytes), "\n");
  out += StrCat("stages   ", Join(plan.stages), "\n");
  if (checked.recipe.calibrate) {
    out += StrCat("tuning   ", pipeline::DescribeCalibration(*checked.recipe.calibrate), "\n");
  }
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

// How long a conversion may take here: what it computes, at the speed that a short product of
// matrices has now.
void AddTime(const pipeline::CheckedRecipe& checked, std::string& text, Json& json) {
  constexpr double kProbeSeconds = 0.5;
  std::vector<pipeline::StageWork> work;
  try {
    work = pipeline::WorkOfStages(checked);
  } catch (const Error& error) {  // the data may come later
    text += StrCat("time     not known: ", error.what(), "\n");
    json["seconds_about"] = nullptr;
    return;
  }
  const double gflops = bench::SustainedGflops(kProbeSeconds);
  const pipeline::TimeRange time = pipeline::EstimateTime(work, gflops);
  json["stage_work"] = Json::array();
  double tuning = 0;
  for (const pipeline::StageWork& stage : work) {
    const double seconds = stage.seconds + stage.gflop / gflops;
    json["stage_work"].push_back(
        {{"stage", stage.stage}, {"gflop", stage.gflop}, {"seconds_about", seconds}});
    if (stage.stage.starts_with(pipeline::kCalibrateStage)) tuning += seconds;
  }
  text += StrCat("time     about ", FormatDuration(time.seconds), ", likely between ",
                 FormatDuration(time.least), " and ", FormatDuration(time.most),
                 ": an estimate from sizes and the ", FormatFixed(gflops, 0),
                 " GFLOP/s that this machine did just now",
                 tuning > 0 ? StrCat("; ", FormatDuration(tuning), " of it is for the tuning") : "",
                 "\n");
  json["seconds_about"] = time.seconds;
  json["seconds_likely"] = {time.least, time.most};
  json["gflop_per_second"] = gflops;
}

// The conversion of a checkpoint for which nobody wrote a recipe, and why it is this one.
struct MadeConversion {
  pipeline::CheckedRecipe checked;
  std::string why;
};

MadeConversion MakeConversion(const ConvertOptions& options) {
  const std::string& path = options.recipes.front();
  if (!options.model.empty()) {
    throw UsageError("--model is for recipes; ", path, " is the model already");
  }
  if (!options.only.empty()) throw UsageError("--only is for recipes; ", path, " is one job");
  const io::Checkpoint model = model::OpenTensors(path);
  pipeline::DefaultRecipe made =
      pipeline::MakeDefaultRecipe(path, model, options.tasks, options.data);
  if (!options.max_loss.empty()) {
    made.json["max_loss"] = pipeline::ParseMaxLoss(options.max_loss);
  }
  pipeline::Recipe recipe = pipeline::ParseRecipe(made.json, pipeline::kRecipeFile);
  if (options.tune) {
    made.json["calibrate"] =
        pipeline::TuneStage(recipe, model, pipeline::Inspect(model, path), *options.tune);
    recipe = pipeline::ParseRecipe(made.json, pipeline::kRecipeFile);
  }
  MadeConversion made_conversion{pipeline::CheckRecipe(std::move(recipe), model), made.why};
  made_conversion.checked.made = std::move(made.json);
  return made_conversion;
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

// What a person is told of one conversion.
std::string DescribeConversion(const pipeline::ConvertResult& result,
                               const pipeline::CheckedRecipe& checked) {
  std::string text = result.report_text;
  if (checked.recipe.max_loss >= 0) text += DescribeChoice(result, checked.recipe);
  if (checked.made) {
    text += StrCat("\nThe recipe of this conversion, to change and run again, is ",
                   (result.out / pipeline::kRecipeFile).string(), "\n");
  }
  return text;
}

std::string NextCommand(const pipeline::ConvertResult& result, const pipeline::Recipe& recipe) {
  std::filesystem::path moe = result.moe;
  std::string selection = "stored";
  double ffn_ratio = recipe.eval.ffn_ratios.front();
  if (!result.tried.empty()) {  // the first of them loses the least
    const pipeline::RatioChoice& choice = result.choice.value_or(result.tried.front());
    moe = result.out / choice.model;
    selection = choice.selection;
    ffn_ratio = choice.ffn_ratio;
  }
  return StrCat("moefy run ", moe.string(), " --task ", recipe.eval.tasks.front(), " --selection ",
                selection, " --ffn-ratio ", ffn_ratio);
}

// Runs one conversion in this process.
Outcome RunOne(const std::string& name, const pipeline::CheckedRecipe& checked,
               const std::filesystem::path& out, const ConvertOptions& options, Context& context) {
  const Stopwatch stopwatch;
  ConvertEnd end{{JobEnd::State::kEnded, 0, "", "", 0}, name, out};
  Outcome outcome;
  try {
    const pipeline::ConvertResult result =
        pipeline::Convert(checked, out, context.common.force, *context.progress, About());
    context.warnings.insert(context.warnings.end(), result.warnings.begin(), result.warnings.end());
    for (const Json& report : result.reports) {
      if (!report.at("failures").empty()) end.exit_code = 1;
    }
    outcome.text = DescribeConversion(result, checked);
    outcome.next = NextCommand(result, checked.recipe);
  } catch (const std::exception& error) {
    const auto* ours = dynamic_cast<const Error*>(&error);
    end.exit_code = ours ? ExitCode(ours->kind()) : kExitBug;
    end.error = error.what();
    end.seconds = stopwatch.Seconds();
    WriteJUnit(options.junit, {end});
    throw;
  }
  end.seconds = stopwatch.Seconds();
  WriteJUnit(options.junit, {end});
  outcome.exit_code = end.exit_code;
  if (checked.made) outcome.json["recipe"] = *checked.made;
  outcome.json["conversions"] = Json::array({ConversionToJson(end)});
  return outcome;
}

// Runs several, each in a process of its own.
Outcome RunMany(const std::vector<ConvertJob>& jobs, const ConvertOptions& options,
                Context& context) {
  for (const ConvertJob& job : jobs) {  // all are looked at before any is run
    try {
      pipeline::CheckRecipe(job.recipe);
    } catch (const Error& error) {
      // What is wrong with a model costs that model's jobs alone, and they will say it.
      if (!options.keep_going || error.kind() == ErrorKind::kUsage) throw;
    }
  }
  const std::vector<ConvertEnd> ends = RunConversions(jobs, options, context);
  WriteJUnit(options.junit, ends);
  Outcome outcome;
  outcome.exit_code = ExitCodeOf(ends);
  outcome.text = DescribeConversions(ends);
  outcome.json["conversions"] = Json::array();
  for (const ConvertEnd& end : ends) {
    outcome.json["conversions"].push_back(ConversionToJson(end));
    if (!end.error.empty()) context.errors.push_back(StrCat(end.name, ": ", end.error));
  }
  return outcome;
}

// Adds what a job would do.
void AddPlan(const pipeline::CheckedRecipe& checked, const std::filesystem::path& out,
             Outcome& outcome) {
  const pipeline::ConvertPlan plan = pipeline::PlanConvert(checked, out);
  Json json = PlanToJson(plan);
  outcome.text += DescribePlan(plan, checked);
  AddTime(checked, outcome.text, json);
  outcome.json["conversions"].push_back(std::move(json));
}

Outcome RunConvert(const ConvertOptions& options, Context& context) {
  if (options.recipes.empty()) throw UsageError("convert needs a recipe file, or a checkpoint");
  if (options.out.empty() && !options.dry_run) {
    throw UsageError("convert needs --out: where should the results go?");
  }
  constexpr int64_t kMostJobs = 1024;
  RequireOption(options.jobs >= 1 && options.jobs <= kMostJobs, "jobs", options.jobs, "1 to 1024");
  CheckJUnit(options.junit);
  Outcome plan;
  if (options.recipes.size() == 1 && IsCheckpoint(options.recipes.front())) {
    const MadeConversion made = MakeConversion(options);
    const std::string why = StrCat("no recipe was given. The model has ", made.why, "\n");
    if (!options.dry_run) {
      Outcome outcome =
          RunOne(made.checked.recipe.name, made.checked, options.out, options, context);
      outcome.text = why + outcome.text;
      return outcome;
    }
    plan.text = why;
    plan.json["recipe"] = *made.checked.made;
    AddPlan(made.checked, options.out.empty() ? "OUT" : options.out, plan);
    return plan;
  }
  const std::vector<ConvertJob> jobs = ReadJobs(options, context.common);
  if (jobs.size() > 1 && !options.dry_run) return RunMany(jobs, options, context);
  for (const ConvertJob& job : jobs) {
    const pipeline::CheckedRecipe checked = pipeline::CheckRecipe(job.recipe);
    if (!options.dry_run) return RunOne(job.name, checked, job.out, options, context);
    if (jobs.size() > 1) plan.text += StrCat("job      ", job.name, "\n");
    AddPlan(checked, job.out, plan);
  }
  return plan;
}

}  // namespace

std::unique_ptr<Command> ConvertCommand(CLI::App& parent) {
  return MakeCommand<ConvertOptions>(
      parent, "convert", "Run every stage, from a recipe or for a model and a task; resumable.",
      "  moefy convert CKPT --task configs/tasks/sst2.json --data DATA --out out\n"
      "  moefy convert examples/quickstart/recipe.json --out out\n"
      "  moefy convert many.json --jobs 4 --keep-going --junit junit.xml --out out   # in CI",
      RunConvert);
}

}  // namespace moefy::apps
