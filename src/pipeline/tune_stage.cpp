#include "pipeline/tune_stage.h"

#include <algorithm>
#include <optional>

#include "base/options.h"
#include "moefy/base/error.h"
#include "pipeline/task_data.h"
#include "pipeline/token_counter.h"
#include "route/router.h"
#include "route/selection.h"

namespace moefy::pipeline {
namespace {

constexpr int64_t kFewest = 20;                  // 10 are what a training needs
constexpr uint64_t kLargeModel = 1'000'000'000;  // parameters, from which on LoRA spares memory

// What a kind of task gets.
struct Manner {
  bool texts;            // samples are windows of texts
  int64_t batch_size;    // examples per step
  int64_t batch_tokens;  // in memory at once
  int64_t held_out;      // at most
  int64_t epochs;
  double learning_rate;
};

Manner MannerFor(const task::TaskSpec& spec) {
  if (task::IsOnlyText(spec.kind)) return {true, 4, 1024, 8, 1, 1e-4};
  const bool decodes = spec.kind == task::TaskKind::kGeneration;  // held-out answers, one by one
  return {false, 32, 4096, decodes ? 64 : 200, 2, 1e-4};
}

// How many samples the task has to train on; about as many, of texts. Nothing if its data are not
// there yet or cannot be read, which the stages that need them will say.
std::optional<int64_t> SamplesThere(const task::TaskSpec& spec, const Recipe& recipe,
                                    const io::Checkpoint& model, const Inspection& inspection) {
  try {
    if (!task::IsOnlyText(spec.kind)) {
      return static_cast<int64_t>(
          task::ReadDataset(spec, recipe.record.split, DataDirectory(spec, recipe.data))
              .examples.size());
    }
    TokenCounter counter(model, inspection.config, recipe.data);
    const TokenCount all = counter.OfTasks({spec.file.string()}, recipe.record.split, 0, true);
    return static_cast<int64_t>(0.9 * all.examples);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// The first selection of the evaluation that a router makes; "" for the stored one.
std::string TunedSelection(const EvalOptions& options) {
  for (const std::string& text : options.selections) {
    const std::string router = route::ParseSelection(text).router;
    if (router == "stored" || route::FindRouterKind(router)) return text;
  }
  return "";
}

void CheckTunable(const Recipe& recipe, int64_t samples) {
  RequireOption(samples >= kFewest, "tune", samples, "at least 20, of which 2 are held out");
  if (recipe.calibrate) {
    throw UsageError("--tune adds a calibrate stage, and the recipe ", Quoted(CalledName(recipe)),
                     " has one; leave out one of them");
  }
  if (recipe.record.tasks.empty()) {
    throw UsageError("--tune trains on the task that is recorded, and the recipe ",
                     Quoted(CalledName(recipe)),
                     " records a text; add record.task or a calibrate stage");
  }
}

}  // namespace

Json TuneStage(const Recipe& recipe, const io::Checkpoint& model, const Inspection& inspection,
               int64_t samples) {
  CheckTunable(recipe, samples);
  std::vector<double> ratios = recipe.eval.ffn_ratios;
  std::erase_if(ratios, [](double ratio) { return ratio >= 1; });
  if (ratios.empty()) {
    throw UsageError("--tune trains for the ratios below 1 that are evaluated, and the recipe ",
                     Quoted(CalledName(recipe)), " has none; add some to eval.ffn_ratio");
  }
  const std::string& file = recipe.record.tasks.front();
  const task::TaskSpec spec = ReadTasks({file}, recipe.record.split).front();
  const Manner manner = MannerFor(spec);
  const auto there = SamplesThere(spec, recipe, model, inspection);
  if (there && samples > *there) {
    throw UsageError("--tune is ", samples, "; the split ", Quoted(recipe.record.split), " of ",
                     spec.name, " has ", manner.texts ? "about " : "", *there,
                     manner.texts ? " windows to train on" : " examples");
  }
  const int64_t trained = manner.texts ? samples : samples - samples / 10;
  const int64_t steps = manner.epochs * ((trained + manner.batch_size - 1) / manner.batch_size);
  // Four measurements, and none after a few steps: each runs what is held out at every ratio.
  const int64_t evaluate_every = std::max<int64_t>(8, steps / 4);
  Json stage = {{"task", file},
                {"split", recipe.record.split},
                {"limit", samples},
                {"ffn_ratio", ratios},
                {"distill", 1},
                {"temperature", 1},
                {"train", "ffn"},
                {"held_out", manner.held_out},
                {"epochs", manner.epochs},
                {"batch_size", manner.batch_size},
                {"batch_tokens", manner.batch_tokens},
                {"evaluate_every", evaluate_every},
                {"learning_rate", manner.learning_rate}};
  const std::string selection = TunedSelection(recipe.eval);
  if (!selection.empty()) stage["selection"] = selection;
  if (inspection.num_parameters >= kLargeModel) stage["lora_rank"] = 16;
  return stage;
}

void AddTuning(const io::Checkpoint& model, const Inspection& inspection, int64_t samples,
               Recipe& recipe) {
  const Json stage = TuneStage(recipe, model, inspection, samples);
  ReadOptions(JsonObject(stage, "--tune"), recipe.calibrate.emplace());
}

std::string DescribeCalibration(const CalibrateOptions& options) {
  const TrainStageOptions& training = options.training;
  const train::TrainerOptions& trainer = training.trainer;
  std::vector<std::string> ratios;
  for (const double ratio : options.ffn_ratios) ratios.push_back(StrCat(ratio));
  const std::string what = training.limit > 0 ? StrCat("the first ", training.limit, " samples of ")
                                              : std::string("all of ");
  const std::string share = training.lora.rank > 0
                                ? StrCat(training.train, " by LoRA of rank ", training.lora.rank)
                                : training.train;
  return StrCat(
      what, std::filesystem::path(training.task).stem().string(), "'s split ", training.split,
      trainer.steps > 0 ? StrCat(", ", trainer.steps, " steps")
                        : StrCat(", ", trainer.epochs, trainer.epochs == 1 ? " epoch" : " epochs"),
      " in batches of ", trainer.batch_size, ", weights: ", share, ", ",
      FormatFixed(100 * options.distill.distill, 0),
      " % of the loss from the dense model, at ffn ratio ", Join(ratios),
      options.selection.empty() ? "" : StrCat(" under ", options.selection));
}

}  // namespace moefy::pipeline
