// The stages finetune (a dense model on a task) and calibrate (a split model on a task, split and
// routers as they are; MoEfication's parameter calibration, arXiv 2110.01786, section 3.3).
// They write into a staging directory and rename; OUT.training holds what a stopped one goes on
// from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/output.h"
#include "moefy/base/progress.h"
#include "train/trainer_options.h"
#include "train/training_report.h"

namespace moefy::pipeline {

// What both have.
struct TrainingOptions {
  std::string task;
  std::string data;
  std::string split = "train";
  int64_t limit = 0;
  int64_t held_out = 1000;
  std::string train = "all";
  int64_t lora_rank = 0;
  double lora_alpha = 16;
  train::TrainerOptions trainer;
  int64_t seed = 0;
  std::string device = "cpu";

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Field("task", task, "task file");
    v.Field("data", data, "directory of the task's data files (default: beside the task file)");
    v.Field("split", split, "which split of the task to train on; part of it is held out");
    v.Field("limit", limit, "only the first examples; 0 for all");
    v.Field("held-out", held_out,
            "examples kept apart to choose the best weights by, at most a tenth");
    v.Field("train", train, "what may change: all, ffn or w-out");
    v.Field("lora-rank", lora_rank, "train low-rank changes of the matrices instead; 0: no");
    v.Field("lora-alpha", lora_alpha, "these changes count alpha / rank times");
    v.Field("epochs", trainer.epochs, "passes over the examples");
    v.Field("steps", trainer.steps, "steps in place of epochs; 0: epochs");
    v.Field("batch-size", trainer.batch_size, "examples per step");
    v.Field("batch-tokens", trainer.batch_tokens,
            "padded tokens in memory at once; a step goes through its examples in such parts");
    v.Field("optimizer", trainer.optimizer,
            "adamw, or muon: AdamW for all but the matrices inside the blocks");
    v.Field("learning-rate", trainer.learning_rate, "AdamW's step size");
    v.Field("matrix-rate", trainer.matrix_rate, "Muon's step size");
    v.Field("schedule", trainer.schedule, "of the step size: linear, cosine or constant");
    v.Field("warm-up", trainer.warm_up, "share of the steps in which the step size grows from 0");
    v.Field("weight-decay", trainer.weight_decay, "of matrices, per unit of step size");
    v.Field("clip", trainer.max_norm, "largest L2 norm of the gradient; 0: any");
    v.Field("token-dropout", trainer.token_dropout,
            "share of an encoder's input tokens left out at random");
    v.Field("evaluate-every", trainer.evaluate_every,
            "steps between measurements on what is held out; 0: an epoch");
    v.Field("patience", trainer.patience,
            "stop after so many measurements without a better one; 0: never");
    v.Field("seed", seed, "of order, dropout and random weights");
    v.Field("device", device, "cpu, cuda or cuda:N; the CPU where LibTorch has no CUDA");
  }
};

struct FinetuneOptions {
  std::string checkpoint;
  bool from_scratch = false;
  bool new_head = false;
  TrainingOptions training;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("checkpoint", checkpoint, "dense checkpoint directory");
    v.Field("from-scratch", from_scratch,
            "begin with random weights: config.json and a tokenizer are enough");
    v.Field(
        "new-head", new_head,
        "make an encoder a new head though it has one, for other labels; one that is missing is "
        "always made");
    training.Visit(v);
    v.Field("out", out, "directory for the trained checkpoint");
  }
};

struct CalibrateOptions {
  std::string moe;
  std::string dense;
  std::string selection;
  std::vector<double> ffn_ratios = {0.2};
  double distill = 0;
  double temperature = 2;
  double distill_ffn = 0;
  TrainingOptions training;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("moe", moe, "split checkpoint directory, with routers");
    v.Field("selection", selection, "how experts are chosen (default: by the stored routers)");
    v.Field("ffn-ratio", ffn_ratios, "shares of the FFNs' work to do; steps take them in turn");
    v.Field("dense", dense,
            "the dense parent to distil from (default: all experts of the split model, if it is "
            "not calibrated yet)");
    v.Field("distill", distill,
            "share of the loss that is the distance to the dense parent's answers");
    v.Field("temperature", temperature, "of that distance");
    v.Field("distill-ffn", distill_ffn,
            "weight of the distance of each FFN's output to the dense parent's");
    training.Visit(v);
    v.Field("out", out, "directory for the calibrated split checkpoint");
  }
};

struct TrainResult {
  std::filesystem::path out;
  train::TrainingReport report;
  std::vector<std::string> warnings;
};

// All throw Error{kUsage} for options that make no sense, Error{kInput} for data or models that do
// not fit, before any model is loaded where that can be told.
// Throws Error{kUsage} for options that make no sense; of paths only the task file is looked at.
void CheckCalibrateOptions(const CalibrateOptions& options);

TrainResult Finetune(const FinetuneOptions& options, IfExists if_exists, Progress& progress);
TrainResult Calibrate(const CalibrateOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
