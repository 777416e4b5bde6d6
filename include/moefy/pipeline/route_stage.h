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
  std::string preset = "best";
  std::string router;
  std::string target;
  int64_t epochs = 0;
  int64_t patience = -1;
  int64_t batch_size = 512;
  double learning_rate = 0.01;
  double held_out = 0.1;
  double metric_ratio = 0.2;
  int64_t router_width = 0;
  std::vector<double> fit_ratios;
  std::string compensation;
  bool least_squares = false;
  std::vector<double> neuron_shares;
  int64_t seed = 0;
  std::string device = "cpu";
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("moe", moe, "split checkpoint directory");
    v.Field("dump", dump,
            "activation dump of the same model, or a directory with a .safetensors, .pt or .npy "
            "file per FFN, named after its W_in tensor");
    v.Field("preset", preset,
            "paper, fast or best: values of the options below that are not given");
    v.Field("router", router,
            "mlp, linear, ridge, low-rank, regression, sketch, similarity or representative "
            "(default: the preset's)");
    v.Field("router-width", router_width,
            "of regression's hidden layer (0: 128); rank of low-rank and sketch (0: hidden / 16)");
    v.Field("target", target,
            "what it learns of each expert: mass, output-norm or deviation (default: the "
            "preset's)");
    v.Field("epochs", epochs, "passes over the dump at most; 0: the preset's. The best is kept");
    v.Field("patience", patience,
            "stop after so many epochs without a better one; 0: never, -1: the preset's");
    v.Field("batch-size", batch_size, "tokens per step");
    v.Field("learning-rate", learning_rate, "Adam's step size");
    v.Field("held-out", held_out, "share of the tokens kept apart to choose and to measure");
    v.Field("metric-ratio", metric_ratio, "ffn ratio at which routers are compared");
    v.Field("fit-ratio", fit_ratios,
            "ffn ratios that compensation and W_out are fitted for (default: the preset's, or "
            "--metric-ratio)");
    v.Field("compensation", compensation,
            "for experts that do not run: none, mean, conditional or low-rank, kept for the FFNs "
            "whose held-out output it improves (default: the preset's)");
    v.Field("least-squares", least_squares,
            "also fit W_out to the experts that run, kept for the FFNs whose held-out output it "
            "improves; --preset best does");
    v.Field("neuron-share", neuron_shares,
            "of the running experts' neurons those that go through W_out, for more experts in the "
            "same work; of several, each FFN keeps the one with the least held-out error (default: "
            "1; gated FFNs: the preset's)");
    v.Field("seed", seed, "makes the training reproducible");
    v.Field("device", device, "cpu, cuda or cuda:N; the CPU where LibTorch has no CUDA");
    v.Field("out", out, "directory of the result (default: the split checkpoint itself)");
  }
};

// The options with the preset's values in the place of those not given. Error{kUsage} for an
// unknown preset.
RouteTrainOptions WithPreset(RouteTrainOptions options);

// Held-out, at metric_ratio.
struct RouteQuality {
  double mass = 0, recall = 0, output_error = 0;
};

struct RouteTrainRow {
  std::string ffn;
  int64_t train_tokens = 0;
  int64_t held_out_tokens = 0;
  int64_t best_epoch = 0;
  RouteQuality routed, similarity, random, oracle, oracle_output;
  double neuron_oracle_error = 0;  // neurons chosen one by one
  double final_error = 0;          // routed, with neuron_share, compensation and calibration
  double neuron_share = 1;
  bool compensated = false, calibrated = false, corrected = false;
  int64_t dead_experts = 0;
  double load_entropy = 0;
  std::vector<double> load;  // per expert: share of the tokens that run it
  double fit_seconds = 0;    // of these, finding the router
  double seconds = 0;
};

struct RouteTrainResult {
  std::filesystem::path moe;
  RouteTrainOptions options;  // with the preset's values
  std::vector<RouteTrainRow> rows;
  std::vector<std::string> warnings;
};

// Throws Error{kUsage} for options (with the preset's values) that make no sense; paths are not
// looked at.
void CheckRouteOptions(const RouteTrainOptions& options);

RouteTrainResult RouteTrain(const RouteTrainOptions& options, IfExists if_exists,
                            Progress& progress);

}  // namespace moefy::pipeline
