#include "train/trainer.h"

#include <algorithm>
#include <cmath>

#include "ask/metric.h"
#include "base/stopwatch.h"
#include "moefy/base/error.h"
#include "train/fast_process.h"
#include "train/objective.h"
#include "train/optimizer.h"
#include "train/step_gradients.h"
#include "train/training_state.h"

namespace moefy::train {
namespace {

// Tells whoever began a step that the work inside goes on, and not how far it is.
class StillAtWork final : public Progress {
 public:
  explicit StillAtWork(Progress& progress) : progress_(progress) {}
  void Section(std::string_view) override {}
  void Begin(std::string_view, uint64_t, std::string_view) override {}
  void Advance(uint64_t) override { progress_.Advance(0); }
  void End(std::string_view) override {}

 private:
  Progress& progress_;
};

class Trainer {
 public:
  Trainer(const TrainingSetup& setup, const TrainerOptions& options,
          const std::filesystem::path& state_directory, Progress& progress)
      : setup_(setup),
        options_(options),
        state_directory_(state_directory),
        progress_(progress),
        metric_(ask::GetMetric(setup.held_out.spec.kind, setup.held_out.spec.metric)),
        optimizer_(setup.weights.leaves(), RuleOf()),
        gradients_(setup, options),
        num_steps_(options.steps > 0 ? options.steps
                                     : options.epochs * gradients_.steps_per_epoch()),
        held_out_batches_(BatchesOf(setup, options, setup.held_out.task.RightSequences())) {}

  TrainingReport Run(IfExists if_other) {
    const Stopwatch stopwatch;
    if (const auto state = LoadState(state_directory_, setup_.identity, if_other)) Restore(*state);
    report_.first_step = step_;
    if (step_ == 0) Measure();
    const int64_t every =
        options_.evaluate_every > 0 ? options_.evaluate_every : gradients_.steps_per_epoch();
    // The last measurement marks how far the training is: the state may have been saved between a
    // step and its measurement.
    while (report_.history.back().step < num_steps_ && !OutOfPatience()) {
      const int64_t end = std::min(num_steps_, (report_.history.back().step / every + 1) * every);
      progress_.Begin(StrCat("steps ", step_ + 1, " to ", end, " of ", num_steps_),
                      static_cast<uint64_t>(end - step_), "steps");
      SavingIfInterrupted([&] {
        for (; step_ < end; progress_.Advance(1)) Step();
        Measure();
      });
    }
    gradients_.Finish();
    RestoreBest();
    report_.num_sequences = static_cast<int64_t>(setup_.sequences.size());
    report_.num_held_out = static_cast<int64_t>(setup_.held_out.dataset.examples.size());
    for (const auto& [name, leaf] : setup_.weights.leaves()) report_.num_trained += leaf.numel();
    report_.metric = metric_.name;
    report_.ffn_ratios = setup_.ffn_ratios;
    report_.seconds = stopwatch.Seconds();
    return report_;
  }

 private:
  Optimizer::RuleOf RuleOf() const {
    const std::set<std::string> inner =
        options_.optimizer == "muon" ? BlockMatrices(setup_.config) : std::set<std::string>();
    return [this, inner](const std::string& name, const at::Tensor& parameter) {
      return Optimizer::Rule{inner.contains(name),
                             parameter.dim() > 1 ? options_.weight_decay : 0.0};
    };
  }

  // Saves the state when `work` is interrupted, so that nothing learned is lost.
  void SavingIfInterrupted(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInterrupted) throw;
      Save();
      throw Error(ErrorKind::kInterrupted, StrCat("interrupted at step ", step_, " of ", num_steps_,
                                                  "; the same command goes on from there (",
                                                  state_directory_.string(), ")"));
    }
  }

  void Step() {
    const double loss = gradients_.Add(step_);
    if (!std::isfinite(loss)) {
      throw InputError("the loss is ", loss, " at step ", step_ + 1,
                       "; a smaller --learning-rate helps mostly");
    }
    ++step_;
    const double share = LearningRateShare(options_, step_, num_steps_);
    optimizer_.Step(options_.matrix_rate * share, options_.learning_rate * share,
                    options_.max_norm);
    if (setup_.pressure) {
      setup_.pressure->Adapt(MeanShare(setup_.pressure->TakeActive()), step_, num_steps_);
    }
    loss_sum_ += loss;
    ++loss_steps_;
  }

  // Measures on the held-out examples; keeps the weights if they are the best so far.
  void Measure() {
    if (step_ == 0) progress_.Begin("held-out examples", 0, "");
    const at::NoGradGuard no_grad;
    Measurement point;
    point.step = step_;
    point.loss = loss_steps_ > 0 ? loss_sum_ / static_cast<double>(loss_steps_) : 0;
    std::vector<double> losses;
    for (const double ratio : setup_.ffn_ratios) {
      model::Transformer model = BuildModel(setup_, ratio);
      double sum = 0;
      int64_t count = 0;
      for (const ask::Batch& batch : held_out_batches_) {
        const LossSum loss = AnswerLoss(RunAnswers(model, batch));
        sum += loss.sum.item<double>();
        count += loss.count;
        progress_.Advance(0);
      }
      losses.push_back(sum / static_cast<double>(count));
      StillAtWork still(progress_);
      const auto answers = setup_.held_out.task.Ask(model, still);
      point.metrics.push_back(
          ask::Measure(metric_, setup_.held_out.dataset.examples, answers).value);
    }
    point.held_out_loss = MeanShare(losses);
    if (setup_.pressure) {
      point.active = setup_.pressure->TakeActive();
      if (step_ == 0) setup_.pressure->Start(MeanShare(point.active));
    }
    loss_sum_ = 0;
    loss_steps_ = 0;
    report_.history.push_back(point);
    const bool best = report_.history.size() == 1 || IsBetter(point, report_.history[report_.best]);
    if (best) {
      report_.best = report_.history.size() - 1;
      best_.clear();
      for (const auto& [name, leaf] : setup_.weights.leaves()) {
        best_.emplace(name, leaf.detach().to(at::TensorOptions(at::kCPU), false, /*copy=*/true));
      }
    }
    const double value = MeanShare(point.metrics);
    const std::string active =
        point.active.empty()
            ? ""
            : StrCat(", ", FormatFixed(100 * MeanShare(point.active), 1), " % fire");
    progress_.End(
        StrCat(step_ > 0 ? "loss " + FormatFixed(point.loss, 4) + ", " : "", "held-out loss ",
               FormatFixed(point.held_out_loss, 4), ", ", metric_.name, " ",
               metric_.is_share ? FormatFixed(100 * value, 2) + " %" : FormatFixed(value, 4),
               active, best ? " (best)" : ""));
    if (step_ > 0) Save();
  }

  bool IsBetter(const Measurement& a, const Measurement& b) const {
    if (setup_.pressure) {
      const double a_active = MeanShare(a.active), b_active = MeanShare(b.active);
      const bool a_reached = setup_.pressure->Reached(a_active);
      if (a_reached != setup_.pressure->Reached(b_active)) return a_reached;
      if (!a_reached) return a_active < b_active;
    }
    const double sign = metric_.lower_is_better ? -1 : 1;
    const double gain = sign * (MeanShare(a.metrics) - MeanShare(b.metrics));
    return gain > 0 || (gain == 0 && a.held_out_loss < b.held_out_loss);
  }

  bool OutOfPatience() const {
    return options_.patience > 0 &&
           static_cast<int64_t>(report_.history.size() - 1 - report_.best) >= options_.patience;
  }

  void Save() const {
    TrainingState state;
    for (const auto& [name, leaf] : setup_.weights.leaves()) {
      state.tensors.emplace("weights." + name, leaf.detach());
      state.tensors.emplace("best." + name, best_.at(name));
    }
    for (const auto& [name, moment] : optimizer_.State()) {
      state.tensors.emplace("optimizer." + name, moment);
    }
    Json history = Json::array();
    for (const Measurement& point : report_.history) history.push_back(MeasurementToJson(point));
    state.progress = {{"step", step_},
                      {"loss_sum", loss_sum_},
                      {"loss_steps", loss_steps_},
                      {"best", report_.best},
                      {"history", history}};
    if (setup_.pressure) state.progress["pressure"] = setup_.pressure->State();
    SaveState(state_directory_, state, setup_.identity);
  }

  void Restore(const TrainingState& state) {
    const at::NoGradGuard no_grad;
    try {
      RestoreFrom(state);
    } catch (const Json::exception& error) {
      throw InputError(state_directory_, " does not hold the state of a training: ", error.what(),
                       "; remove it to begin anew");
    } catch (const std::out_of_range&) {
      throw InputError(state_directory_,
                       " does not hold every weight of the model; remove it to begin anew");
    }
  }

  void RestoreFrom(const TrainingState& state) {
    const auto part = [&](const std::string& prefix) {
      model::TensorMap found;
      for (const auto& [name, tensor] : state.tensors) {
        if (name.starts_with(prefix)) found.emplace(name.substr(prefix.size()), tensor);
      }
      return found;
    };
    best_ = part("best.");
    const model::TensorMap weights = part("weights.");
    for (const auto& [name, leaf] : setup_.weights.leaves()) leaf.copy_(weights.at(name));
    step_ = state.progress.at("step");
    optimizer_.Restore(part("optimizer."), step_);
    loss_sum_ = state.progress.at("loss_sum");
    loss_steps_ = state.progress.at("loss_steps");
    report_.best = state.progress.at("best");
    if (setup_.pressure) setup_.pressure->Restore(state.progress.at("pressure"));
    for (const Json& point : state.progress.at("history")) {
      report_.history.push_back(MeasurementFromJson(point));
    }
    progress_.Begin("going on", 0, "");
    progress_.End(StrCat("from step ", step_, " of ", num_steps_));
  }

  void RestoreBest() {
    const at::NoGradGuard no_grad;
    for (const auto& [name, leaf] : setup_.weights.leaves()) leaf.copy_(best_.at(name));
  }

  const TrainingSetup& setup_;
  const TrainerOptions& options_;
  const std::filesystem::path& state_directory_;
  Progress& progress_;
  const ask::Metric& metric_;
  Optimizer optimizer_;
  StepGradients gradients_;
  const int64_t num_steps_;
  const std::vector<ask::Batch> held_out_batches_;
  int64_t step_ = 0;  // done
  double loss_sum_ = 0;
  int64_t loss_steps_ = 0;
  model::TensorMap best_;  // leaves, on the CPU
  TrainingReport report_;
};

}  // namespace

void CheckTrainable(const model::ModelConfig& config, const TrainerOptions& options) {
  if (config.head == model::Head::kMaskedLanguageModel) {
    throw InputError("the model fills masks, which nothing here trains; for a task with labels or ",
                     "spans `moefy finetune --new-head` gives it a head");
  }
  if (config.is_regression()) {
    throw InputError(
        "the classification head has one output (a regression), which nothing here "
        "trains; it needs as many as the task has labels");
  }
  if (options.token_dropout > 0 && config.architecture == model::Architecture::kDecoder) {
    throw UsageError("--token-dropout is for encoders; this ", config.family, " model has none");
  }
}

TrainingReport Train(const TrainingSetup& setup, const TrainerOptions& options,
                     const std::filesystem::path& state, IfExists if_other, Progress& progress) {
  CheckOptions(options);
  MOEFY_CHECK(!setup.sequences.empty() && !setup.ffn_ratios.empty());
  CheckTrainable(setup.config, options);
  const FastProcess fast;
  return Trainer(setup, options, state, progress).Run(if_other);
}

void ServeTraining(const TrainingSetup& setup, const TrainerOptions& options) {
  const FastProcess fast;
  StepGradients(setup, options).Serve();
}

}  // namespace moefy::train
