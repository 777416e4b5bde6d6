#include "pipeline/check_recipe.h"

#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "pipeline/tune_stage.h"
#include "route/router.h"
#include "route/selection.h"
#include "split/splitter.h"

namespace moefy::pipeline {
namespace {

void CheckComplete(const Recipe& recipe) {
  if (recipe.model.empty()) {
    throw UsageError("the recipe ", Quoted(CalledName(recipe)),
                     " names no model; add \"model\" to it or give --model");
  }
  if (recipe.eval.tasks.empty()) {
    throw UsageError("the recipe ", Quoted(CalledName(recipe)),
                     " evaluates no task; add eval.task");
  }
  if (recipe.sparsify && recipe.sparsify->text.empty() == recipe.sparsify->training.task.empty()) {
    throw UsageError("the recipe ", Quoted(CalledName(recipe)),
                     " sparsifies on nothing, or on two things; add sparsify.task or "
                     "sparsify.text");
  }
  if (recipe.calibrate && recipe.calibrate->training.task.empty()) {
    throw UsageError("the recipe ", Quoted(CalledName(recipe)),
                     " calibrates on no task; add calibrate.task");
  }
}

// Checks that every way of routing in the recipe makes the routers that a selection needs.
void CheckServed(const Recipe& recipe, const route::Selection& selection) {
  const route::RouterKind* kind = route::FindRouterKind(selection.router);
  if (!kind || kind->from_weights) return;
  for (const RecipeRoute& route : recipe.routes) {
    const std::string made = RouterKindOf(route.options);
    if (made == selection.router) continue;
    throw UsageError("selection ", Quoted(selection.Text()), " needs ", selection.router,
                     " routers; route", route.name.empty() ? "" : " " + Quoted(route.name),
                     " makes ", made, " ones; \"stored\" stands for whichever there are");
  }
}

void CheckSplit(const SplitOptions& options, const Inspection& model) {
  CheckSplitOptions(options);
  ExpertsPerFfn(model.ffns, WithPreset(options));
}

}  // namespace

CheckedRecipe CheckRecipe(Recipe recipe, const std::optional<io::Checkpoint>& opened) {
  CheckComplete(recipe);
  const auto stage = [&](const std::string& name, const auto& check) {
    WithContext(StrCat("recipe ", Quoted(CalledName(recipe)), ": ", name), check);
  };
  if (recipe.sparsify) stage("sparsify", [&] { CheckSparsifyOptions(*recipe.sparsify); });
  stage("record", [&] { CheckRecordOptions(recipe.record); });
  for (const RecipeRoute& route : recipe.routes) {
    stage("route", [&] { CheckRouteOptions(route.options); });
  }
  if (recipe.calibrate) {
    stage("calibrate", [&] {
      CheckCalibrateOptions(*recipe.calibrate);
      if (!recipe.calibrate->selection.empty())
        CheckServed(recipe, route::ParseSelection(recipe.calibrate->selection));
    });
  }
  stage("eval", [&] {
    CheckEvalOptions(recipe.eval);
    for (const route::Selection& selection : route::ParseSelections(recipe.eval.selections)) {
      CheckServed(recipe, selection);
    }
  });
  if (recipe.max_loss >= 0) stage("max_loss", [&] { CheckEvalOptions(HeldOutEval(recipe)); });
  io::Checkpoint model = opened ? *opened : model::OpenTensors(recipe.model);
  Inspection inspection = Inspect(model, recipe.model);
  if (inspection.num_experts > 0) {
    throw UsageError(recipe.model, " is split already; `moefy merge` makes it dense again");
  }
  if (recipe.sparsify) stage("sparsify", [&] { CheckSuits(*recipe.sparsify, model); });
  if (recipe.tune) AddTuning(model, inspection, *recipe.tune, recipe);
  for (const RecipeSplit& split : recipe.splits) {
    stage("split " + split.name, [&] { CheckSplit(split.options, inspection); });
  }
  return {std::move(recipe), std::move(model), std::move(inspection), {}};
}

}  // namespace moefy::pipeline
