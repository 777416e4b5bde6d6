#include "pipeline/convert.h"

#include <algorithm>
#include <functional>

#include "base/options.h"
#include "eval/report.h"
#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "pipeline/convert_output.h"
#include "pipeline/results.h"
#include "pipeline/run_stages.h"
#include "pipeline/stage_key.h"
#include "pipeline/task_data.h"
#include "record/activation_dump.h"
#include "split/moe_checkpoint.h"

namespace moefy::pipeline {
namespace {

template <typename Options>
Json KeyOptions(const Options& options) {
  return WithoutPaths(OptionsToJson(options));
}

// A model that is evaluated: reports tell its name.
Json Named(const std::string& model, const Json& inputs) {
  return {{"name", std::filesystem::path(model).filename().string()}, {"made_from", inputs}};
}

// Connects the recipe's stages: each gets its inputs and the place of its result.
class Conversion {
 public:
  Conversion(const CheckedRecipe& checked, std::filesystem::path out, Progress& progress)
      : recipe_(checked.recipe),
        model_(checked.model),
        inspection_(checked.inspection),
        out_(std::move(out)),
        progress_(progress) {
    std::string converted = recipe_.model;
    if (recipe_.sparsify) {
      recipe_.sparsify->checkpoint = recipe_.model;
      recipe_.sparsify->training.data = recipe_.data;
      recipe_.sparsify->out = converted = (out_ / "sparse").string();
    }
    recipe_.record.checkpoint = converted;
    recipe_.record.data = recipe_.data;
    recipe_.record.out = (out_ / "dump").string();
    for (RecipeSplit& split : recipe_.splits) {
      split.options.checkpoint = converted;
      split.options.out = (out_ / ("split-" + split.name)).string();
      if (NeedsDump(WithPreset(split.options))) {
        split.options.dump = recipe_.record.out;
      }
      for (const RecipeRoute& route : recipe_.routes) {
        if (!route.Serves(split)) continue;
        recipe_.eval.models.push_back(MoeOf(split, route));
        if (recipe_.calibrate) recipe_.eval.models.push_back(CalibratedOf(split, route));
      }
    }
    recipe_.eval.dense = recipe_.model;
    recipe_.eval.data = recipe_.data;
  }

  std::vector<Stage> Stages() {
    Json model = keys_.OfModel(model_);
    std::vector<Stage> stages;
    stages.push_back({"inspect",
                      {{"model", model}},
                      {},
                      out_ / kInspectFile,
                      [this] {
                        progress_.Begin("reading headers", 0, "");
                        WriteTextFile(out_ / kInspectFile,
                                      FormatJson(InspectionToJson(inspection_)), IfExists::kRenew);
                        progress_.End(StrCat(inspection_.config.family, ", ",
                                             FormatCount(inspection_.num_parameters),
                                             " parameters, ", inspection_.ffns.size(), " FFNs"));
                      },
                      [this] {
                        const Json json = ReadJsonFile(out_ / kInspectFile);
                        JsonObject(json, (out_ / kInspectFile).string());
                      }});
    if (recipe_.sparsify) model = AddSparsify(model, stages);
    const Json record = {
        {"model", model},
        {"options", KeyOptions(recipe_.record)},
        {"text", keys_.OfText(recipe_.record.text)},
        {"data", keys_.OfTasks(recipe_.record.tasks, recipe_.record.split, recipe_.data)}};
    stages.push_back(
        {"record", record, PathsOf(recipe_.record), recipe_.record.out,
         [this] { Warn(Record(recipe_.record, IfExists::kRenew, progress_, Opened()).warnings); },
         [this] { record::ActivationDump::Open(recipe_.record.out); }});
    Json routed = Json::array();
    for (const RecipeSplit& split : recipe_.splits) {
      Json split_inputs = {{"model", model}, {"options", KeyOptions(split.options)}};
      if (!split.options.dump.empty()) split_inputs["record"] = record;
      stages.push_back(
          {"split " + split.name, split_inputs, PathsOf(split.options), split.options.out,
           [this, &split] {
             Warn(Split(split.options, IfExists::kRenew, progress_, Opened()).warnings);
           },
           [&split] { split::MoeCheckpoint::Open(split.options.out); }});
      for (const RecipeRoute& route : recipe_.routes) {
        if (!route.Serves(split)) continue;
        AddRoutedStages(split, route, split_inputs, record, stages, routed);
      }
    }
    if (recipe_.max_loss >= 0) AddChoice(routed, stages);
    stages.push_back(
        {"eval",
         {{"models", routed},
          {"options", KeyOptions(recipe_.eval)},
          {"data", keys_.OfTasks(recipe_.eval.tasks, recipe_.eval.split, recipe_.data)}},
         PathsOf(recipe_.eval),
         out_ / kEvalFile,
         [this] { Evaluate(); },
         [this] {
           ReadReports(out_ / kEvalFile);
           ReadTextFile(out_ / kReportFile);
         }});
    return stages;
  }

  // After Stages(), which reads them: the model and every file.
  Json Inputs() const {
    Json files = Json::array();
    for (const auto& [path, fingerprint] : keys_.files()) {
      files.push_back({{"path", path.string()}, {"fingerprint", fingerprint}});
    }
    const Json model = {{"path", recipe_.model}, {"fingerprint", model_.Fingerprint()}};
    return {{"model", model}, {"files", files}};
  }
  // With its training, if it has one.
  const std::string& first_moe() const { return recipe_.eval.models[recipe_.calibrate ? 1 : 0]; }
  std::vector<std::string>& warnings() { return warnings_; }

 private:
  std::string MoeOf(const RecipeSplit& split, const RecipeRoute& route) const {
    return (out_ / ("moe-" + RoutedName(split, route))).string();
  }
  std::string CalibratedOf(const RecipeSplit& split, const RecipeRoute& route) const {
    return (out_ / ("calibrated-" + RoutedName(split, route))).string();
  }
  // The model that is recorded and split, if it is open before the first stage.
  std::optional<io::Checkpoint> Opened() const {
    return recipe_.sparsify ? std::nullopt : std::optional(model_);
  }
  template <typename Options>
  Json PathsOf(const Options& options) const {
    return OnlyPaths(OptionsToJson(options), out_);
  }
  // Adds the stage that makes the model sparse, and returns what stands for the result.
  Json AddSparsify(const Json& model, std::vector<Stage>& stages) {
    const SparsifyOptions& options = *recipe_.sparsify;
    const TrainStageOptions& training = options.training;
    const Json inputs = {
        {"model", model},
        {"options", KeyOptions(options)},
        {"data", options.text.empty() ? keys_.OfTask(training.task, training.split, recipe_.data)
                                      : keys_.OfText(options.text)}};
    stages.push_back(
        {"sparsify", inputs, PathsOf(options), options.out,
         [this] {
           Warn(Sparsify(*recipe_.sparsify, IfExists::kRenew, progress_).training.warnings);
         },
         [&options] { model::OpenCheckpoint(options.out); }});
    return inputs;
  }
  // Adds the stages that train the routers of a split and, where the recipe says so, calibrate.
  void AddRoutedStages(const RecipeSplit& split, const RecipeRoute& route, const Json& split_inputs,
                       const Json& record, std::vector<Stage>& stages, Json& routed) {
    const std::string name = RoutedName(split, route);
    RouteTrainOptions train = route.options;
    train.moe = split.options.out;
    train.dump = recipe_.record.out;
    train.out = MoeOf(split, route);
    const Json route_inputs = {
        {"record", record}, {"split", split_inputs}, {"options", KeyOptions(train)}};
    routed.push_back(Named(train.out, route_inputs));
    stages.push_back(
        {"route-train " + name, route_inputs, PathsOf(train), train.out,
         [this, train] { Warn(RouteTrain(train, IfExists::kRenew, progress_).warnings); },
         [train] { split::MoeCheckpoint::Open(train.out); }});
    if (!recipe_.calibrate) return;
    CalibrateOptions calibrate = *recipe_.calibrate;
    calibrate.moe = train.out;
    calibrate.dense = recipe_.model;
    calibrate.training.data = recipe_.data;
    calibrate.out = CalibratedOf(split, route);
    const Json calibrate_inputs = {
        {"moe", route_inputs},
        {"options", KeyOptions(calibrate)},
        {"data", keys_.OfTask(calibrate.training.task, calibrate.training.split, recipe_.data)}};
    routed.push_back(Named(calibrate.out, calibrate_inputs));
    stages.push_back(
        {"calibrate " + name, calibrate_inputs, PathsOf(calibrate), calibrate.out,
         [this, calibrate] { Warn(Calibrate(calibrate, IfExists::kRenew, progress_).warnings); },
         [calibrate] { split::MoeCheckpoint::Open(calibrate.out); }});
  }
  // Adds the stage that tries the ratios on examples that are not those of the report.
  void AddChoice(const Json& routed, std::vector<Stage>& stages) {
    const EvalOptions options = HeldOutEval(recipe_);
    stages.push_back({"choose a ratio",
                      {{"models", routed},
                       {"options", KeyOptions(options)},
                       {"data", keys_.OfTasks(options.tasks, options.split, recipe_.data)}},
                      PathsOf(options),
                      out_ / kChoiceFile,
                      [this, options] {
                        const auto reports = Eval(options, IfExists::kRenew, progress_, model_);
                        WriteChoice(RatioChoices(reports), recipe_.max_loss, out_ / kChoiceFile);
                      },
                      [this] { ReadChoices(out_ / kChoiceFile); }});
  }
  // Stages that work from the same model warn of the same things, and each warning is given once.
  void Warn(const std::vector<std::string>& warnings) {
    for (const std::string& warning : warnings) {
      if (std::ranges::find(warnings_, warning) == warnings_.end()) warnings_.push_back(warning);
    }
  }
  void Evaluate() {
    const std::vector<eval::EvaluationReport> reports =
        Eval(recipe_.eval, IfExists::kRenew, progress_, model_);
    Json json = Json::array();
    std::string text;
    for (const eval::EvaluationReport& report : reports) {
      json.push_back(eval::ReportToJson(report));
      text += eval::FormatEvaluation(report) + "\n";
      Warn(report.warnings);
    }
    WriteTextFile(out_ / kReportFile, text, IfExists::kRenew);
    WriteTextFile(out_ / kEvalFile, FormatJson(json), IfExists::kRenew);
  }

  Recipe recipe_;
  io::Checkpoint model_;
  Inspection inspection_;
  std::filesystem::path out_;
  Progress& progress_;
  InputKeys keys_;
  std::vector<std::string> warnings_;
};

// Writes a recipe that nobody wrote, and does not replace one that somebody changed.
void WriteMadeRecipe(const Json& made, const std::filesystem::path& file, bool redo) {
  const auto is_like = [&](const Json& before) {
    if (!before.is_object()) return false;
    Json now = made, then = before;
    for (Json* json : {&now, &then}) json->erase("max_loss");  // each run may have another
    if (!then.contains("calibrate")) now.erase("calibrate");   // a tuning is added to what is there
    return now == then;
  };
  if (std::filesystem::exists(file) && !redo && !is_like(ReadJsonFile(file))) {
    throw UsageError(file, " was changed, or is that of another model or task; run it by `moefy ",
                     "convert ", file.string(), " --out ", file.parent_path().string(),
                     "`, or give --force to write it anew");
  }
  WriteTextFile(file, FormatJson(made), IfExists::kRenew);
}

// The paths that a conversion reads besides what it makes itself.
InputPaths ConvertInputs(const Recipe& recipe) {
  InputPaths inputs;
  const auto add = [&](const std::vector<std::string>& tasks, const std::string& split) {
    for (auto& path : TaskInputs(ReadTasks(tasks, split), split, recipe.data)) {
      inputs.push_back(std::move(path));
    }
  };
  add(recipe.record.tasks, recipe.record.split);
  add(recipe.eval.tasks, recipe.eval.split);
  if (recipe.max_loss >= 0) add(recipe.eval.tasks, HeldOutEval(recipe).split);
  if (recipe.sparsify && recipe.sparsify->text.empty()) {
    add({recipe.sparsify->training.task}, recipe.sparsify->training.split);
  } else if (recipe.sparsify) {
    inputs.emplace_back(recipe.sparsify->text);
  }
  inputs.insert(inputs.end(), {recipe.model, recipe.record.text});
  return inputs;
}

void ReadBack(const Recipe& recipe, ConvertResult& result) {
  result.reports = ReadReports(result.out / kEvalFile);
  result.report_text = ReadTextFile(result.out / kReportFile);
  if (recipe.max_loss < 0) return;
  result.tried = ReadChoices(result.out / kChoiceFile);
  result.choice = WriteChoice(result.tried, recipe.max_loss, result.out / kChoiceFile);
}

// Tells programs of a conversion that failed, as far as that is possible.
void TryToWriteResults(const ConvertResult& result, const Error& error, const Json& about) {
  try {
    WriteTextFile(result.out / kResultsFile, FormatJson(ResultsToJson(result, &error, about)),
                  IfExists::kRenew);
  } catch (const std::exception&) {  // the error that is on its way says more
  }
}

}  // namespace

ConvertResult Convert(const CheckedRecipe& checked, const std::filesystem::path& out, bool redo,
                      Progress& progress, const Json& about) {
  Conversion conversion(checked, out, progress);
  const std::vector<Stage> stages = conversion.Stages();  // throws unless all data are there
  PrepareOutput(out, ConvertInputs(checked.recipe));
  const auto lock = LockDirectory(out);
  if (checked.made) WriteMadeRecipe(*checked.made, out / kRecipeFile, redo);
  ConvertResult result;
  result.out = out;
  result.moe = conversion.first_moe();
  result.inputs = conversion.Inputs();
  std::error_code ignored;
  std::filesystem::remove(out / kResultsFile, ignored);  // whoever is killed leaves none
  try {
    RunStages(stages, redo, progress, result);
    ReadBack(checked.recipe, result);
    result.warnings = conversion.warnings();
    WriteTextFile(out / kResultsFile, FormatJson(ResultsToJson(result, nullptr, about)),
                  IfExists::kRenew);
  } catch (const Error& error) {
    TryToWriteResults(result, error, about);
    throw;
  } catch (const std::exception& error) {
    TryToWriteResults(result, Error(ErrorKind::kBug, error.what()), about);
    throw;
  }
  return result;
}

}  // namespace moefy::pipeline
