// Measures how fast a checkpoint is, dense or split: an encoder's pass; an encoder-decoder's pass,
// first token and decoding; a decoder's prompt and decoding. Decoding is greedy and goes on for as
// many tokens as are asked for, whatever they are. Everything that is compared takes turns.
// Thread-safety: one benchmark at a time (it sets the process's threads).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/benchmark.h"
#include "bench/model_engine.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/transformer.h"

namespace moefy::bench {

struct ModelBenchmarkOptions {
  const io::Checkpoint* checkpoint = nullptr;
  const split::MoeCheckpoint* moe = nullptr;  // the same checkpoint, to be run sparsely; or null
  // Of a split checkpoint: how experts are chosen, and how many.
  route::Selection selection;
  std::vector<double> ffn_ratios = {0.2};
  std::vector<runtime::WeightFormat> weights = {runtime::WeightFormat::kF32};
  bool baseline = false;  // the dense model besides: through LibTorch, and in each weight format
  int64_t batch = 1;
  int64_t prompt_tokens = 128;  // per text; what an encoder reads, or what a decoder goes on with
  int64_t new_tokens = 32;      // of models that generate
  // Instead of random tokens: `batch` times `prompt_tokens` ids; or batches that an encoder reads
  // one after another, which stand in for `batch` and `prompt_tokens`, too.
  std::vector<int64_t> prompts;
  std::vector<model::ForwardInputs> inputs;
  int64_t repetitions = 5;
  std::vector<int> threads = {0};  // 0: one per processor
  uint64_t seed = 0;
};

struct ModelBenchmarkRow {
  std::string phase;  // "encode", "prefill", "first token", "decode"
  EngineKind engine = EngineKind::kDense;
  runtime::WeightFormat weights = runtime::WeightFormat::kF32;
  double asked_ffn_ratio = 1;  // 1 for dense engines
  double ffn_ratio = 1;        // as run: neurons evaluated / neurons
  int threads = 0;
  Spread ms;                     // of the phase; of one step of all texts when decoding
  double tokens_per_second = 0;  // at the median, all texts together
  Spread ffn_ms;                 // part of it, routers included; 0 through LibTorch
  // Repetition by repetition; with a base line, of rows that are not the base line itself.
  std::optional<Spread> speedup_over_torch, speedup_over_dense;
  // What the phase (or step) reads of weights and of earlier keys and values, and computes;
  // activations and routers' weights are left out.
  double bytes = 0;
  double flops = 0;
  double roofline_ms = 0;  // the longer of bytes / bandwidth and flops / peak, of this run
  // With a base line, of phases that give logits or states: the root mean square of the difference
  // to LibTorch's dense model over that of its values. A decoding's is left out.
  std::optional<double> output_error;
  double load_seconds = 0;
  int64_t own_bytes = 0, mapped_bytes = 0;  // what the process's memory grew by
};

struct ModelBenchmarkResult {
  std::string cpu;
  std::string instruction_set;          // of our kernels
  double bandwidth_gigabytes = 0;       // reading memory, per second, with the most threads
  double peak_gflops = 0;               // LibTorch's product of two 1024 x 1024 matrices, likewise
  int64_t peak_memory_bytes = 0;        // of the process, all engines together
  int64_t texts = 0;                    // in all batches
  int64_t tokens = 0;                   // likewise, padding left out
  int64_t new_tokens = 0;               // per text; 0 for models that do not generate
  std::vector<ModelBenchmarkRow> rows;  // threads x engines x phases
};

// Throws Error{kUsage} for options that make no sense, such as more tokens than the model has
// positions for, Error{kInput} for checkpoints that cannot be run.
ModelBenchmarkResult RunModelBenchmark(const ModelBenchmarkOptions& options,
                                       Progress& progress = SilentProgress());

}  // namespace moefy::bench
