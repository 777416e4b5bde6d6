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
  std::string initial;
  int64_t steps = 6000;
  int64_t easy_steps = 2000;
  int64_t tokens_per_batch = 2048;
  double matrix_rate = 0.02;
  double entry_rate = 0.01;
  int64_t warm_up = 200;
  double activity_cost = 0.02;
  int64_t hidden = 96;
  int64_t num_neurons = 512;
  int64_t num_heads = 4;
  int64_t head_dim = 24;
  int64_t num_encoder_layers = 3;
  int64_t num_decoder_layers = 2;
  int64_t report_every = 250;
  int64_t report_rows = 250;
  int64_t threads = 2;
  int64_t seed = 1;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Field("initial", initial, "checkpoint to go on from, instead of random weights");
    v.Field("steps", steps, "batches to learn from");
    v.Field("easy-steps", easy_steps, "of these, in which texts grow to their true length");
    v.Field("tokens-per-batch", tokens_per_batch, "about, of the encoder");
    v.Field("matrix-rate", matrix_rate, "Muon's step after the warm-up; falls to 0 along a cosine");
    v.Field("entry-rate", entry_rate,
            "Adam's step for embeddings, position tables and norms, likewise");
    v.Field("warm-up", warm_up, "steps in which both rates rise from 0");
    v.Field("activity-cost", activity_cost,
            "price of the mean activation, summed over the FFNs; from half-way on");
    v.Field("hidden", hidden, "width of the residual stream");
    v.Field("num-neurons", num_neurons, "of each FFN");
    v.Field("num-heads", num_heads, "of each attention");
    v.Field("head-dim", head_dim, "of each head");
    v.Field("num-encoder-layers", num_encoder_layers, "blocks of the encoder");
    v.Field("num-decoder-layers", num_decoder_layers, "blocks of the decoder");
    v.Field("report-every", report_every, "steps between two reports");
    v.Field("report-rows", report_rows, "of each evaluation set, in the reports on the way");
    v.Field("threads", threads, "for the arithmetic");
    v.Field("seed", seed, "of the initial weights and of the text");
  }
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
