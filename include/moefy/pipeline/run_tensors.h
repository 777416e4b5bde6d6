// Raw tensors in, raw tensors out: how anyone checks moefy against another implementation.
// Names and shapes: docs/formats.md, "Tensors of moefy run".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moefy/base/output.h"
#include "moefy/base/progress.h"

namespace moefy::pipeline {

struct RunOptions {
  std::string model;
  std::string tensors;
  std::string out;
  bool hidden_states = false;
  bool ffn_taps = false;
  std::string selection;
  double ffn_ratio = 1.0;
  std::string weights = "f32";
  int64_t seed = 0;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("model", model, "dense or split checkpoint directory");
    v.Field("tensors", tensors, "safetensors file with input_ids and what else the model takes");
    v.Field("out", out, "safetensors file for the results");
    v.Field("hidden-states", hidden_states, "also write the residual stream of every layer");
    v.Field("ffn-taps", ffn_taps, "also write what enters and leaves every FFN and its neurons");
    v.Field("selection", selection,
            "run a split model sparsely: mlp, similarity, random or oracle (default: dense)");
    v.Field("ffn-ratio", ffn_ratio, "share of the neurons to run with --selection");
    v.Field("weights", weights,
            "with --selection, how weights are kept in memory: f32, bf16, f16 or int8");
    v.Field("seed", seed, "of the random selection");
  }
};

struct RunResult {
  std::vector<std::string> tensors;  // written, with their shapes: "logits [8, 1, 8128]"
  double seconds = 0;                // of the forward pass
};

RunResult RunTensors(const RunOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
