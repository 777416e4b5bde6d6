#include "pipeline/train_stages.h"

#include <map>
#include <memory>
#include <optional>
#include <set>

#include "ask/translation.h"
#include "base/options.h"
#include "io/fingerprint.h"
#include "model/device.h"
#include "model/open_checkpoint.h"
#include "model/read_parameters.h"
#include "moefy/base/error.h"
#include "moefy/io/checkpoint.h"
#include "pipeline/student.h"
#include "pipeline/task_training.h"
#include "route/routed_ffn.h"
#include "route/router_reader.h"
#include "route/top_k.h"
#include "split/calibration.h"
#include "split/moe_writer.h"
#include "train/masked_ffn.h"
#include "train/trainer.h"
#include "train/training_state.h"

namespace moefy::pipeline {
namespace {

namespace fs = std::filesystem;

// The weights that have changed; there are none if the start was best.
model::TensorMap Changed(const train::TrainableWeights& weights, TrainResult& result) {
  if (result.report.best == 0) {
    result.warnings.push_back(
        "nothing that was tried was better on the held-out examples than the start, so the weights "
        "are unchanged; another --learning-rate or more --epochs may help");
    return {};
  }
  return ChangedParameters(weights);
}

// The selection that is given or, if none is, the stored routers' or the one that needs no router.
route::Selection SelectionOf(const std::optional<route::Selection>& given,
                             const split::MoeCheckpoint& moe) {
  if (given) return *given;
  return route::ParseSelection(route::HasRouters(moe) ? route::StoredRouterKind(moe)
                                                      : "similarity");
}

// What a training changed in a split model.
split::MoeChanges CalibrationChanges(const CalibrateOptions& options,
                                     const route::Selection& selection, const std::string& task,
                                     model::TensorMap changed) {
  split::MoeChanges changes;
  if (changed.empty()) return changes;
  std::vector<std::string> names;
  for (const auto& [name, tensor] : changed) names.push_back(name);
  changes.calibration = {"gradient", options.ffn_ratios, selection.Text(), task, std::move(names)};
  changes.weights = std::move(changed);
  return changes;
}

// Loads the dense model that the student learns to be like, if the options want one.
std::unique_ptr<model::Transformer> LoadTeacher(const CalibrateOptions& options,
                                                const split::MoeCheckpoint& moe,
                                                at::Device device) {
  if (!options.distill.wanted()) return nullptr;
  if (!options.dense.empty()) {
    return std::make_unique<model::Transformer>(model::LoadTransformer(
        model::OpenCheckpoint(options.dense), nullptr, model::Parts::kAll, device));
  }
  if (split::IsCalibrated(moe)) {
    throw UsageError(options.moe,
                     " is calibrated already, so its dense parent is not known; give "
                     "it as --dense");
  }
  return std::make_unique<model::Transformer>(
      moe.config(), model::OnDevice(model::ReadParameters(moe.weights(), moe.config()), device));
}

// Checks the options but for the task. Returns the selection, if one is given.
std::optional<route::Selection> ReadSelection(const CalibrateOptions& options) {
  CheckTraining(options.training);
  if (options.ffn_ratios.empty()) throw UsageError("--ffn-ratio is empty; expected at least one");
  for (const double ratio : options.ffn_ratios) route::NumSelected(ratio, 1);
  train::CheckOptions(options.distill);
  if (options.selection.empty()) return std::nullopt;
  return route::ParseSelection(options.selection);
}

}  // namespace

void CheckCalibrateOptions(const CalibrateOptions& options) {
  ReadSelection(options);
  if (!options.training.task.empty()) ReadTask(options.training);
}

TrainResult Finetune(const FinetuneOptions& options, IfExists if_exists, Progress& progress) {
  RequireOut(options.out, "finetune");
  CheckTraining(options.training);
  const task::TaskSpec task = ReadTask(options.training);
  const auto lock =
      options.training.serves
          ? nullptr
          : TakePlaces(options.out, if_exists, {options.checkpoint}, options.training, task);
  const auto examples = ReadExamples(options.training, task);
  TrainResult result;
  Student student = OpenStudent(options, examples->spec, result.warnings);
  const text::Languages languages = ask::LanguagesOf(examples->spec);
  PrepareExamples(student.config, student.directory, student.config_text,
                  student.checkpoint ? text::LoadTokenizer(*student.checkpoint, languages)
                                     : text::LoadTokenizer(student.directory, {}, languages),
                  result.warnings, *examples);
  std::set<std::string> fresh;
  model::TensorMap parameters =
      ReadParameters(student, SeedOf(options.training), fresh, result.warnings);
  train::TrainableWeights weights = MakeWeights(
      options.training, student.config,
      model::OnDevice(std::move(parameters), DeviceOf(options.training, result)), fresh);
  train::TrainingSetup setup = MakeSetup(student.config, *examples, weights);
  setup.identity = Identity(OptionsToJson(options),
                            student.checkpoint ? student.checkpoint->Fingerprint(progress)
                                               : io::TextFingerprint(student.config_text),
                            examples->fingerprint);
  ShareAmongRanks(kFinetuneStage, OptionsToJson(options), setup);
  if (options.training.serves) {
    train::ServeTraining(setup, options.training.trainer);
    return result;
  }
  result.report =
      train::Train(setup, options.training.trainer, StateOf(options.out), if_exists, progress);

  StagedDirectory staged(options.out, if_exists);
  const model::TensorMap changed = Changed(weights, result);
  const at::NoGradGuard no_grad;
  WriteStudent(student, changed, weights.Effective(), staged.path(), result.warnings);
  staged.Commit();
  train::RemoveState(StateOf(options.out));
  result.out = options.out;
  return result;
}

TrainResult Calibrate(const CalibrateOptions& options, IfExists if_exists, Progress& progress) {
  const std::optional<route::Selection> given = ReadSelection(options);
  RequireOut(options.out, "calibrate");
  const task::TaskSpec task = ReadTask(options.training);
  const auto lock = options.training.serves
                        ? nullptr
                        : TakePlaces(options.out, if_exists, {options.moe, options.dense},
                                     options.training, task);
  const auto examples = ReadExamples(options.training, task);
  TrainResult result;
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(options.moe);
  const model::ModelConfig& config = moe.config();
  const route::Selection selection = SelectionOf(given, moe);
  route::CheckServes(moe, selection);
  PrepareExamples(config, moe.directory(), moe.weights().ConfigText(),
                  text::LoadTokenizer(moe.weights(), ask::LanguagesOf(examples->spec)),
                  result.warnings, *examples);

  const at::Device device = DeviceOf(options.training, result);
  std::map<double, std::vector<route::RoutedFfn>> routed;
  for (const double ratio : options.ffn_ratios) {
    routed[ratio] = route::ReadRoutedFfns(moe, selection, ratio, SeedOf(options.training), device);
  }
  train::TrainableWeights weights = MakeWeights(
      options.training, config,
      model::OnDevice(model::ReadParameters(moe.weights(), config, &result.warnings), device));
  train::TrainingSetup setup = MakeSetup(config, *examples, weights);
  setup.ffn_ratios = options.ffn_ratios;
  setup.install = [&](model::Transformer& transformer, double ratio) {
    for (size_t i = 0; i < transformer.num_ffns(); ++i) {
      const auto& dense = dynamic_cast<model::DenseFeedForward&>(transformer.feed_forward(i));
      transformer.ExchangeFeedForward(
          i, std::make_unique<train::MaskedFeedForward>(
                 dense.weights(), moe.ffns()[i].plan.num_experts(), routed.at(ratio)[i]));
    }
  };
  const auto teacher = LoadTeacher(options, moe, device);
  setup.distillation = {teacher.get(), options.distill};
  setup.identity =
      Identity(OptionsToJson(options), moe.weights().Fingerprint(progress), examples->fingerprint);
  ShareAmongRanks(kCalibrateStage, OptionsToJson(options), setup);
  if (options.training.serves) {
    train::ServeTraining(setup, options.training.trainer);
    return result;
  }
  result.report =
      train::Train(setup, options.training.trainer, StateOf(options.out), if_exists, progress);

  StagedDirectory staged(options.out, if_exists);
  const split::MoeChanges changes =
      CalibrationChanges(options, selection, examples->spec.name, Changed(weights, result));
  for (std::string& warning : split::WriteChangedMoe(moe, changes, staged.path())) {
    result.warnings.push_back(std::move(warning));
  }
  staged.Commit();
  train::RemoveState(StateOf(options.out));
  result.out = options.out;
  return result;
}

}  // namespace moefy::pipeline
