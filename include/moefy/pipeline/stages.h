// The stages of a conversion, each as one function with its options: what the commands and the
// recipes are made of. Every stage that writes does so into a staging directory and renames.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/base/output.h"
#include "moefy/base/progress.h"
#include "moefy/eval/evaluate.h"
#include "moefy/split/rewrite.h"

namespace moefy::pipeline {

// --- record: run the dense model, write the activation dump ------------------------------------

struct RecordOptions {
  std::string checkpoint;
  std::vector<std::string> tasks;
  std::string text;
  std::string data;
  std::string split = "train";
  int64_t limit = 2000;
  int64_t max_tokens = 200000;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("checkpoint", checkpoint, "dense or split checkpoint directory");
    v.Field("task", tasks, "task files whose examples are run");
    v.Field("text", text, "a text file to run instead, a line per example");
    v.Field("data", data, "directory of the tasks' data files (default: beside each task file)");
    v.Field("split", split, "which split of the tasks");
    v.Field("limit", limit, "examples per task or text, spread evenly over the file; 0 for all");
    v.Field("max-tokens", max_tokens, "tokens kept per FFN at most");
    v.Field("out", out, "directory of the activation dump");
  }
};

struct RecordResult {
  std::filesystem::path dump;
  int64_t num_examples = 0;
  std::vector<std::string> ffns;
  std::vector<int64_t> tokens;       // per FFN
  std::vector<double> active_share;  // per FFN: neurons above zero per token, on up to 4,096 tokens
  uint64_t num_bytes = 0;
  std::vector<std::string> warnings;
};

RecordResult Record(const RecordOptions& options, IfExists if_exists, Progress& progress);

// --- split: neurons into experts ----------------------------------------------------------------

struct SplitOptions {
  std::string checkpoint;
  std::string method = "kmeans";
  int64_t num_experts = 0;
  int64_t expert_size = 0;
  int64_t restarts = 3;
  int64_t seed = 0;
  std::vector<std::string> ffn;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("checkpoint", checkpoint, "dense checkpoint, a directory or a file");
    v.Field("method", method, "how neurons are grouped: kmeans, or random as a control");
    v.Field("experts", num_experts, "experts per FFN");
    v.Field("expert-size", expert_size, "neurons per expert, instead of --experts");
    v.Field("restarts", restarts, "k-means starts, of which the best is kept");
    v.Field("seed", seed, "makes the split reproducible");
    v.Field("ffn", ffn,
            "FFNs of a family that moefy does not know, by their tensors: W_IN:W_OUT[:gate=W_GATE]"
            "[:b_in=BIAS][:b_gate=BIAS][:act=NAME][:transposed], where {} stands for a number");
    v.Field("out", out, "directory of the split checkpoint");
  }
};

struct SplitResult {
  std::filesystem::path moe;
  std::string method;
  int64_t num_ffns = 0;
  int64_t num_experts = 0;
  int64_t neurons_per_expert = 0;
  double seconds = 0;
  std::vector<std::string> warnings;
};

SplitResult Split(const SplitOptions& options, IfExists if_exists, Progress& progress);

// --- route-train: routers from a dump -----------------------------------------------------------

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

// --- eval ----------------------------------------------------------------------------------------

struct EvalOptions {
  std::vector<std::string> models;
  std::string dense;
  std::vector<std::string> tasks;
  std::string data;
  std::string split = "eval";
  std::vector<double> ffn_ratios = {0.1, 0.2, 0.3, 0.5, 1.0};
  std::vector<std::string> selections = {"mlp", "similarity", "random", "oracle"};
  std::string weights = "f32";
  int64_t limit = 0;
  int64_t seed = 0;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("model", models, "split checkpoints to compare (a dense one: only its own score)");
    v.Field("dense", dense, "the dense base line (default: the first model run densely)");
    v.Field("task", tasks, "task files");
    v.Field("data", data, "directory of the tasks' data files (default: beside each task file)");
    v.Field("split", split, "which split of the tasks");
    v.Field("ffn-ratio", ffn_ratios, "shares of the neurons to run, e.g. 0.1,0.2,1.0");
    v.Field("selection", selections, "how experts are chosen: mlp, similarity, random, oracle");
    v.Field("weights", weights, "how split models' weights are kept: f32, bf16, f16 or int8");
    v.Field("limit", limit, "only the first examples; 0 for all");
    v.Field("seed", seed, "of the random selection");
  }
};

// One report per task.
std::vector<eval::EvaluationReport> Eval(const EvalOptions& options, Progress& progress);

// --- verify and merge ----------------------------------------------------------------------------

struct VerifyOptions {
  std::string dense;
  std::string moe;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("dense", dense, "the dense checkpoint");
    v.Argument("moe", moe, "the split checkpoint said to be made of it");
  }
};

split::VerifyReport Verify(const VerifyOptions& options, Progress& progress);

struct MergeOptions {
  std::string moe;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("moe", moe, "split checkpoint directory");
    v.Field("out", out, "directory of the dense checkpoint");
  }
};

void Merge(const MergeOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
