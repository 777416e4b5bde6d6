// Trains the example's model: a T5 of ReLU FFNs that answers both tasks with its first word.
// One training at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace moefy::example {

struct TrainOptions {
  int64_t steps = 5000;
  int64_t tokens_per_batch = 4096;  // about, of the encoder
  double learning_rate = 1.5e-3;    // after `warm_up` steps; falls to 0 along a cosine
  int64_t warm_up = 200;
  double activity_cost = 0.02;  // times the mean activation of all FFN neurons, added to the loss
  int64_t hidden = 96;
  int64_t num_neurons = 512;
  int64_t num_heads = 4;
  int64_t head_dim = 24;
  int64_t num_encoder_layers = 4;
  int64_t num_decoder_layers = 1;
  int64_t report_every = 250;
  int64_t report_rows = 250;  // of each evaluation set, in the reports on the way
  uint64_t seed = 1;
};

struct TaskResult {
  std::string task;
  double accuracy = 0;
  std::vector<double> active;  // share of neurons above 0, mean per token, for each FFN
};

struct TrainProgress {
  int64_t step = 0;
  double loss = 0;  // mean since the last report, without the activity cost
  double seconds = 0;
  std::vector<TaskResult> results;
};

struct TrainReport {
  double first_loss = 0;  // of the first reporting period
  double last_loss = 0;
  double seconds = 0;
  std::vector<std::string> ffn_names;
  std::vector<TaskResult> results;  // all evaluation rows
};

// `task_directory` holds <corpus>.json for each corpus, `vocabulary` the tokenizer's files. Writes
// config.json, model.safetensors and the tokenizer's files into `out` (exists). Throws Error.
TrainReport Train(const TrainOptions& options, const std::filesystem::path& task_directory,
                  const std::filesystem::path& vocabulary, const std::filesystem::path& out,
                  const std::function<void(const TrainProgress&)>& report);

// Evaluates a checkpoint on the evaluation rows of both tasks.
TrainReport Evaluate(const std::filesystem::path& checkpoint,
                     const std::filesystem::path& task_directory);

}  // namespace moefy::example
