// The stage route-train: routers from an activation dump.
// It writes into a staging directory and renames.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/output.h"
#include "moefy/base/progress.h"

namespace moefy::pipeline {

struct RouteTrainOptions {
  std::string moe;
  std::string dump;
  int64_t epochs = 30;
  int64_t batch_size = 512;
  double learning_rate = 0.01;
  double held_out = 0.1;
  double metric_ratio = 0.2;
  int64_t seed = 0;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("moe", moe, "split checkpoint directory");
    v.Field("dump", dump,
            "activation dump of the same model, or a directory with a .safetensors, .pt or .npy "
            "file per FFN, named after its W_in tensor");
    v.Field("epochs", epochs, "passes over the dump; the best one is kept");
    v.Field("batch-size", batch_size, "tokens per step");
    v.Field("learning-rate", learning_rate, "Adam's step size");
    v.Field("held-out", held_out, "share of the tokens kept apart to choose and to measure");
    v.Field("metric-ratio", metric_ratio, "ffn ratio at which routers are compared");
    v.Field("seed", seed, "makes the training reproducible");
    v.Field("out", out, "directory of the result (default: the split checkpoint itself)");
  }
};

struct RouteTrainRow {
  std::string ffn;
  int64_t train_tokens = 0;
  int64_t held_out_tokens = 0;
  int64_t best_epoch = 0;
  // Held-out mass and recall at metric_ratio.
  double mlp_mass = 0, mlp_recall = 0;
  double similarity_mass = 0, random_mass = 0, oracle_mass = 0;
  double seconds = 0;
};

struct RouteTrainResult {
  std::filesystem::path moe;
  std::vector<RouteTrainRow> rows;
};

RouteTrainResult RouteTrain(const RouteTrainOptions& options, IfExists if_exists,
                            Progress& progress);

}  // namespace moefy::pipeline
