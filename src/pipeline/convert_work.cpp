#include "pipeline/convert_work.h"

#include <algorithm>
#include <cmath>

#include "model/model_work.h"
#include "pipeline/route_presets.h"
#include "pipeline/token_counter.h"

namespace moefy::pipeline {
namespace {

constexpr double kGiga = 1e9;

// Of the speed of a large product of matrices, what each kind of work reaches. Measured on whole
// conversions, stage by stage (docs/recipes.md, "The time to expect").
constexpr double kPass = 0.5;              // a model's run over batches; less if it is narrow
constexpr double kNarrow = 256;            // hidden sizes below this reach less in proportion
constexpr double kTraining = 0.4;          // forwards and backwards
constexpr double kRouting = 0.5;           // least squares, importances, errors
constexpr double kCluster = 0.05;          // k-means: plain loops on one thread
constexpr double kDecoding = 0.1;          // one token at a time
constexpr double kStart = 0.3;             // seconds a stage takes to open a model and to write
constexpr double kBytesPerSecond = 200e6;  // read, permuted, hashed and written
constexpr double kSpread = 2;              // what most lies between: half and double

// What a model computes per token.
class ModelWork {
 public:
  explicit ModelWork(const Inspection& inspection) : config_(inspection.config) {
    for (const model::FfnSpec& spec : inspection.ffns) {
      const double weights = (spec.gated() ? 3.0 : 2.0) * static_cast<double>(spec.hidden) *
                             static_cast<double>(spec.num_neurons);
      const bool chosen = spec.of_mixture && !spec.name.ends_with(".shared");
      const double share = chosen ? static_cast<double>(config_.mixture.num_chosen) /
                                        static_cast<double>(config_.mixture.num_experts)
                                  : 1;
      const bool decodes = config_.encoder.num_layers == 0 || spec.name.starts_with("decoder");
      (decodes ? decoder_ffns_ : encoder_ffns_) +=
          share * weights * static_cast<double>(spec.num_layers);
    }
  }
  // FLOPs of a run that does this share of the FFNs' work.
  double Pass(const TokenCount& tokens, double ffn_ratio, bool scores_words) const {
    const bool encodes = config_.encoder.num_layers > 0, decodes = config_.decoder.num_layers > 0;
    const double encoded = encodes ? tokens.inputs : 0;
    const double decoded = !decodes ? 0 : encodes ? tokens.targets : tokens.all();
    double flops = 2 * ffn_ratio * (encoded * encoder_ffns_ + decoded * decoder_ffns_);
    if (encodes) {
      flops += model::AttentionWork(config_, config_.encoder,
                                    {.tokens = encoded, .keys = encoded * tokens.longest})
                   .flops;
    }
    if (decodes) {
      flops += model::AttentionWork(config_, config_.decoder,
                                    {.tokens = decoded,
                                     .keys = decoded * tokens.longest,
                                     .texts = tokens.examples,
                                     .memory = encodes ? tokens.longest : 0,
                                     .reads_memory = false,
                                     .logits = scores_words ? decoded : 0})
                   .flops;
    }
    return flops;
  }

  // Of the speed of a large product.
  double Reaches() const {
    return kPass * std::min(1.0, static_cast<double>(config_.hidden) / kNarrow);
  }

 private:
  const model::ModelConfig& config_;
  double encoder_ffns_ = 0, decoder_ffns_ = 0;  // multiplications per token
};

double SplitFlops(const model::FfnSpec& spec, const SplitOptions& options, int64_t experts) {
  constexpr double kSweeps = 20;
  const auto neurons = static_cast<double>(spec.num_neurons);
  if (options.method.value_or("kmeans") == "random" || experts == spec.num_neurons) return 0;
  const double distances = 2 * neurons * static_cast<double>(spec.hidden) * neurons;
  return distances / kPass + static_cast<double>(options.restarts) * kSweeps * neurons *
                                 static_cast<double>(experts) * 32 / kCluster;
}

double RouteFlops(const model::FfnSpec& spec, const RouteTrainOptions& options, double tokens,
                  double experts) {
  const route::RouterTrainOptions train = GetRoutePreset(options.preset).train;
  const auto hidden = static_cast<double>(spec.hidden);
  const auto neurons = static_cast<double>(spec.num_neurons);
  const double matrices = spec.gated() ? 3 : 2;
  const double held = std::min(2048.0, 0.1 * tokens);
  const std::string router = options.router.value_or(train.router);
  // Importances of all tokens, and errors of held-out ones at several ratios.
  double flops = 2 * tokens * 2 * matrices * hidden * neurons + 40 * held * 2 * neurons * hidden;
  if (router == "mlp" || router == "linear" || router == "regression") {
    const auto epochs = static_cast<double>(options.epochs.value_or(train.epochs));
    flops += 6 * epochs * tokens * (hidden * experts + experts * experts);
  } else {
    flops += 2 * tokens * hidden * (hidden + experts);
  }
  if (options.output_fit.value_or(train.output_fit)) {
    const double fitted = std::min(tokens, 16384.0);
    const auto ratios =
        static_cast<double>(options.fit_ratios ? options.fit_ratios->size()
                                               : std::max<size_t>(1, train.fit_ratios.size()));
    flops += ratios * 2 * fitted * neurons * (neurons + hidden) + 2 * std::pow(neurons, 3) / 3;
  }
  return flops / kRouting;
}

// A forward and two backwards, and the run of the model that is learned from; besides, what is held
// out is run at each measurement and ratio, once for the loss and once for the metric.
double TrainingFlops(const TrainStageOptions& options, double num_ratios, const ModelWork& model,
                     const TokenCount& tokens) {
  const double examples = std::max(1.0, tokens.examples);
  const double pass = model.Pass(tokens, 1, true) / examples;  // of one example
  const train::TrainerOptions& trainer = options.trainer;
  const double seen =
      static_cast<double>(trainer.steps > 0 ? trainer.steps * trainer.batch_size : 0);
  const double trained = seen > 0 ? seen : static_cast<double>(trainer.epochs) * examples;
  const double every = trainer.evaluate_every > 0
                           ? static_cast<double>(trainer.evaluate_every * trainer.batch_size)
                           : examples;
  const double measurements = 1 + std::ceil(trained / every);
  const double held_out = std::min(static_cast<double>(options.held_out), examples / 10);
  const double one_by_one = tokens.all() > 0 ? tokens.generated / tokens.all() : 0;
  const double measured = measurements * num_ratios * held_out * pass *
                          (2 - one_by_one + one_by_one * kTraining / kDecoding);
  return (4 * trained * pass + measured) / kTraining;
}

// All rows of an evaluation, for as many models.
double EvalFlops(const EvalOptions& options, double models, const ModelWork& model,
                 const TokenCount& tokens) {
  const auto row = [&](double ratio) {
    const double flops = model.Pass(tokens, ratio, true);
    const double one_by_one = tokens.all() > 0 ? tokens.generated / tokens.all() : 0;
    return flops * ((1 - one_by_one) / model.Reaches() + one_by_one / kDecoding);
  };
  double flops = 2 * row(1);  // dense, and dense on our kernels
  for (const std::string& selection : options.selections) {
    const bool oracle = selection.starts_with("oracle");
    for (const double ratio : options.ffn_ratios) {
      flops += models * (oracle ? 2 * row(1) : row(ratio));
    }
  }
  return flops;
}

}  // namespace

std::vector<StageWork> WorkOfStages(const CheckedRecipe& checked) {
  const Recipe& recipe = checked.recipe;
  const ModelWork model(checked.inspection);
  const double bytes_seconds = static_cast<double>(checked.inspection.num_bytes) / kBytesPerSecond;
  TokenCounter corpus(checked.model, checked.inspection.config, recipe.data);
  const RecordOptions& record = recipe.record;
  const TokenCount recorded =
      (record.text.empty() ? corpus.OfTasks(record.tasks, record.split, record.limit, false)
                           : corpus.OfText(record))
          .AtMost(static_cast<double>(record.max_tokens));
  std::vector<StageWork> work;
  const auto add = [&](const std::string& stage, double flops, double copies) {
    work.push_back({stage, flops / kGiga, kStart + copies * bytes_seconds});
  };
  const auto flops_of_training = [&](const TrainStageOptions& options, size_t num_ratios) {
    return TrainingFlops(options, static_cast<double>(num_ratios), model,
                         options.task.empty()
                             ? recorded
                             : corpus.OfTasks({options.task}, options.split, options.limit, true));
  };
  if (recipe.sparsify) {
    add("sparsify", flops_of_training(recipe.sparsify->training, 1), 2);
  }
  add("record", model.Pass(recorded, 1, false) / model.Reaches(), 1);
  double models = 0;
  for (const RecipeSplit& split : recipe.splits) {
    const SplitOptions options = WithPreset(split.options);
    const std::vector<int64_t> experts = ExpertsPerFfn(checked.inspection.ffns, options);
    double flops = 0;
    for (size_t i = 0; i < experts.size(); ++i) {
      flops += SplitFlops(checked.inspection.ffns[i], options, experts[i]);
    }
    add("split " + split.name, flops, 2);
    for (const RecipeRoute& route : recipe.routes) {
      if (!route.Serves(split)) continue;
      models += 1;
      flops = 0;
      for (size_t i = 0; i < experts.size(); ++i) {
        const model::FfnSpec& spec = checked.inspection.ffns[i];
        flops += RouteFlops(spec, route.options, recorded.all(), static_cast<double>(experts[i]));
      }
      const std::string name = RoutedName(split, route);
      add("route-train " + name, flops, 1);
      if (!recipe.calibrate) continue;
      models += 1;
      add("calibrate " + name,
          flops_of_training(recipe.calibrate->training, recipe.calibrate->ffn_ratios.size()), 2);
    }
  }
  if (recipe.max_loss >= 0) {
    const EvalOptions held_out = HeldOutEval(recipe);
    add("choose a ratio",
        EvalFlops(held_out, models, model,
                  corpus.OfTasks(held_out.tasks, held_out.split, held_out.limit, true)),
        models + 1);
  }
  add("eval",
      EvalFlops(recipe.eval, models, model,
                corpus.OfTasks(recipe.eval.tasks, recipe.eval.split, recipe.eval.limit, true)),
      models + 1);
  return work;
}

TimeRange EstimateTime(const std::vector<StageWork>& work, double gflops) {
  double seconds = 0;
  for (const StageWork& stage : work) seconds += stage.seconds + stage.gflop / gflops;
  return {seconds, seconds / kSpread, seconds * kSpread};
}

}  // namespace moefy::pipeline
