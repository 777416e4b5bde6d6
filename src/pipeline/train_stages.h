// The stages finetune, which trains a dense model on a task, and calibrate, which trains a split
// model on a task and leaves split and routers as they are (MoEfication's parameter calibration,
// arXiv 2110.01786, section 3.3). Both write into a staging directory and rename it. OUT.training
// holds what a stopped training goes on from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/output.h"
#include "moefy/base/progress.h"
#include "train/trainer_options.h"
#include "train/training_report.h"

namespace moefy::pipeline {

// The options that both stages have.
struct TrainStageOptions {
  std::string task;
  std::string data;
  std::string split = "train";
  int64_t limit = 0;
  int64_t held_out = 1000;
  std::string train = "all";
  train::LoraOptions lora;
  train::TrainerOptions trainer;
  std::string device = "cpu";
  bool serves = false;  // this rank computes gradients for rank 0 of an MPI run, and writes nothing

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Field("task", task, "task file");
    v.Field("data", data, "directory of the task's data files (default: beside the task file)");
    v.Field("split", split, "which split of the task to train on; part of it is held out");
    v.Field("limit", limit, "only the first examples; 0 for all");
    v.Field("held-out", held_out,
            "examples kept apart to choose the best weights by, at most a tenth");
    v.Field("train", train, "what may change: all, ffn or w-out");
    lora.Visit(v);
    trainer.Visit(v);
    v.Field("device", device, "cpu, cuda or cuda:N; the CPU where LibTorch has no CUDA");
  }
};

struct FinetuneOptions {
  std::string checkpoint;
  bool from_scratch = false;
  bool new_head = false;
  TrainStageOptions training;
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
  train::DistillOptions distill;
  TrainStageOptions training;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("moe", moe, "split checkpoint directory, with routers");
    v.Field("selection", selection, "how experts are chosen (default: by the stored routers)");
    v.Field("ffn-ratio", ffn_ratios, "shares of the FFNs' work to do; steps take them in turn");
    v.Field("dense", dense,
            "the dense parent to distil from (default: all experts of the split model, if it is "
            "not calibrated yet)");
    distill.Visit(v);
    training.Visit(v);
    v.Field("out", out, "directory for the calibrated split checkpoint");
  }
};

inline constexpr const char* kFinetuneStage = "finetune";
inline constexpr const char* kCalibrateStage = "calibrate";

struct TrainResult {
  std::filesystem::path out;
  train::TrainingReport report;
  std::vector<std::string> warnings;
};

// Throws Error{kUsage} for options that make no sense. Reads the task file and no other.
void CheckCalibrateOptions(const CalibrateOptions& options);

// Both throw Error{kUsage} for options that make no sense and Error{kInput} for data or models that
// do not fit, before any model is loaded where that can be told. The result of a rank that serves
// is empty.
TrainResult Finetune(const FinetuneOptions& options, IfExists if_exists, Progress& progress);
TrainResult Calibrate(const CalibrateOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
