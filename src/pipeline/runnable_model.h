// A model to run, dense or split, under one name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/transformer.h"
#include "moefy/pipeline/run.h"
#include "route/selection.h"
#include "runtime/sparse_model.h"
#include "split/moe_checkpoint.h"

namespace moefy::pipeline {

class RunnableModel {
 public:
  // Sparse if the options name a selection. Throws as the readers do, and Error{kUsage} for weights
  // of another format without one.
  RunnableModel(const RunOptions& options, Progress& progress,
                std::vector<std::string>* warnings = nullptr)
      : checkpoint_(model::OpenCheckpoint(options.model)) {
    const runtime::WeightFormat format = runtime::ParseWeightFormat(options.weights);
    if (options.selection.empty()) {
      if (format != runtime::WeightFormat::kF32) {
        throw UsageError("--weights ", options.weights, " needs --selection: a dense run is F32");
      }
      dense_ = std::make_unique<model::Transformer>(model::LoadTransformer(checkpoint_, warnings));
      return;
    }
    const route::Selection selection = route::ParseSelection(options.selection);
    moe_ = std::make_unique<split::MoeCheckpoint>(split::MoeCheckpoint::Open(options.model));
    sparse_ = std::make_unique<runtime::SparseModel>(*moe_, static_cast<uint64_t>(options.seed),
                                                     format, progress);
    sparse_->Install(selection, options.ffn_ratio);
  }

  const io::Checkpoint& checkpoint() const { return checkpoint_; }
  model::Transformer& transformer() { return sparse_ ? sparse_->transformer() : *dense_; }
  double FfnRatio() const { return sparse_ ? sparse_->Counters().FfnRatio() : 1; }

 private:
  io::Checkpoint checkpoint_;
  std::unique_ptr<split::MoeCheckpoint> moe_;
  std::unique_ptr<runtime::SparseModel> sparse_;
  std::unique_ptr<model::Transformer> dense_;
};

}  // namespace moefy::pipeline
