// The stage route-train: finds routers from an activation dump and writes them into a split
// checkpoint. It writes into a staging directory and renames.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "moefy/base/if_exists.h"
#include "moefy/base/progress.h"
#include "moefy/pipeline/part_options.h"
#include "moefy/route/router_report.h"

namespace moefy::pipeline {

// An option that is not given takes the preset's value.
struct RouteTrainOptions : PartOptions {
  std::string moe;
  std::string dump;
  std::string preset = "best";
  std::optional<std::string> router;
  std::optional<std::string> target;
  std::optional<int64_t> epochs;
  std::optional<int64_t> patience;
  int64_t batch_size = 512;
  double learning_rate = 0.01;
  double held_out = 0.1;
  double metric_ratio = 0.2;
  int64_t router_width = 0;
  std::optional<std::vector<double>> fit_ratios;
  std::optional<std::string> compensation;
  std::optional<bool> output_fit;
  std::optional<std::string> product;
  std::optional<std::vector<double>> neuron_shares;
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
            "paper, fast, best, mlp-fit or first-product, or the half of a published method that "
            "routes, whose other half split has: cmoe, d2dmoe, expertweaver or cats; values of the "
            "options below that are not given");
    v.Field("router", router,
            "mlp, linear, ridge, low-rank, regression, sketch, first-product, similarity, "
            "representative, exemplar or gate-rows (default: the preset's)");
    v.Field("product", product,
            "what first-product routers compute first: either (whichever loses less, with what a "
            "neuron adds to the output for its score) or gate-alone (the gate, whose magnitude is "
            "the score; default: the preset's)");
    v.Field("router-width", router_width,
            "of regression's hidden layer (0: 128); rank of low-rank and sketch (0: hidden / 16)");
    v.Field("target", target,
            "what it learns of each expert: mass, output-norm or deviation (default: the "
            "preset's)");
    v.Field("epochs", epochs,
            "passes over the dump at most; the best is kept (default: the preset's)");
    v.Field("patience", patience,
            "stop after so many epochs without a better one; 0: never (default: the preset's)");
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
    v.Field("output-fit", output_fit,
            "also fit W_out to the experts that run, kept for the FFNs whose held-out output it "
            "improves (default: the preset's; best does)");
    v.Renamed("least-squares", "output-fit");
    v.Field("neuron-share", neuron_shares,
            "of the running experts' neurons those that go through W_out, for more experts in the "
            "same work; of several, each FFN keeps the one with the least held-out error (default: "
            "1; gated FFNs: the preset's)");
    v.Field("seed", seed, "makes the training reproducible");
    v.Field("device", device, "cpu, cuda or cuda:N; the CPU where LibTorch has no CUDA");
    VisitParts(v);
    v.Field("out", out, "directory of the result (default: the split checkpoint itself)");
  }
};

struct RouteTrainResult {
  std::filesystem::path moe;
  std::optional<ShardDone> shard;            // with --shard: then nothing is written to `moe` yet
  std::string router, target, compensation;  // as given, or the preset's
  double metric_ratio = 0;                   // of the reports
  std::vector<route::RouterReport> reports;  // per FFN
  std::vector<std::string> warnings;
};

// Throws Error{kUsage} for an unknown preset, and for options that make no sense with the preset's
// values; paths are not looked at.
void CheckRouteOptions(const RouteTrainOptions& options);

// The kind of the routers that the options ask for. Throws Error{kUsage} for an unknown preset.
std::string RouterKindOf(const RouteTrainOptions& options);

RouteTrainResult RouteTrain(const RouteTrainOptions& options, IfExists if_exists,
                            Progress& progress);

}  // namespace moefy::pipeline
