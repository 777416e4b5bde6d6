#include "train/trainer_options.h"

#include <cmath>
#include <numbers>

#include "base/options.h"

namespace moefy::train {

void CheckOptions(const TrainerOptions& options) {
  RequireOption(options.epochs >= 1, "epochs", options.epochs, "at least 1");
  RequireOption(options.steps >= 0, "steps", options.steps, "at least 0");
  RequireOption(options.batch_size >= 1, "batch-size", options.batch_size, "at least 1");
  RequireOption(options.batch_tokens >= 1, "batch-tokens", options.batch_tokens, "at least 1");
  RequireOption(options.optimizer == "adamw" || options.optimizer == "muon", "optimizer",
                options.optimizer, "adamw or muon");
  RequireOption(options.learning_rate > 0, "learning-rate", options.learning_rate, "more than 0");
  RequireOption(options.matrix_rate > 0, "matrix-rate", options.matrix_rate, "more than 0");
  RequireOption(options.schedule == "linear" || options.schedule == "cosine" ||
                    options.schedule == "constant",
                "schedule", options.schedule, "linear, cosine or constant");
  RequireOption(options.warm_up >= 0 && options.warm_up < 1, "warm-up", options.warm_up,
                "a share of at least 0 and below 1");
  RequireOption(options.weight_decay >= 0, "weight-decay", options.weight_decay, "at least 0");
  RequireOption(options.max_norm >= 0, "clip", options.max_norm, "at least 0");
  RequireOption(options.token_dropout >= 0 && options.token_dropout < 1, "token-dropout",
                options.token_dropout, "a share of at least 0 and below 1");
  RequireOption(options.evaluate_every >= 0, "evaluate-every", options.evaluate_every,
                "at least 0");
  RequireOption(options.patience >= 0, "patience", options.patience, "at least 0");
}

void CheckOptions(const LoraOptions& options) {
  RequireOption(options.rank >= 0, "lora-rank", options.rank, "at least 0");
}

void CheckOptions(const DistillOptions& options) {
  RequireOption(options.distill >= 0 && options.distill <= 1, "distill", options.distill,
                "a share from 0 to 1");
  RequireOption(options.temperature > 0, "temperature", options.temperature, "more than 0");
  RequireOption(options.distill_ffn >= 0, "distill-ffn", options.distill_ffn, "at least 0");
  RequireOption(options.distill_hidden >= 0, "distill-hidden", options.distill_hidden,
                "at least 0");
}

void CheckOptions(const PressureOptions& options) {
  RequireOption(options.active > 0 && options.active <= 1, "active", options.active,
                "a share above 0 and up to 1");
  RequireOption(options.ramp >= 0 && options.ramp <= 1, "ramp", options.ramp,
                "a share from 0 to 1");
}

double LearningRateShare(const TrainerOptions& options, int64_t step, int64_t num_steps) {
  const double warm_up = std::floor(options.warm_up * static_cast<double>(num_steps));
  const auto at = static_cast<double>(step);
  if (at <= warm_up) return at / warm_up;
  const double done = (at - warm_up) / (static_cast<double>(num_steps) + 1 - warm_up);
  if (options.schedule == "constant") return 1;
  if (options.schedule == "linear") return 1 - done;
  return 0.5 * (1 + std::cos(std::numbers::pi * done));
}

}  // namespace moefy::train
