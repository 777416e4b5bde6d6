// Whole T5 models of well-known shapes with random weights, dense and sparse. Thread-safety: one
// caller at a time.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/model/transformer.h"
#include "runtime/sparse_ffn.h"

namespace moefy::bench {

struct ModelShape {
  std::string name;
  int64_t hidden, neurons, heads, head_dim, layers, vocab;
};

const std::vector<ModelShape>& ModelShapes();
const ModelShape& GetModelShape(const std::string& name);  // Error{kUsage} for an unknown name

// A config with `layers` layers per stack. 0: as many as the shape has.
model::ModelConfig MakeModelConfig(const ModelShape& shape, int64_t layers);

// Random weights, initialised as T5's are.
model::TensorMap MakeParameters(const model::ModelConfig& config, at::Generator& generator,
                                Progress& progress);

int64_t TotalBytes(const model::TensorMap& parameters);

// A Transformer that runs sparsely in one weight format: experts of 32 neurons, random MLP routers.
class SyntheticSparseModel {
 public:
  SyntheticSparseModel(const model::ModelConfig& config, const model::TensorMap& parameters,
                       runtime::WeightFormat format, double ffn_ratio, at::Generator& generator,
                       Progress& progress);

  void Install(double ffn_ratio);

  model::Transformer& transformer() { return transformer_; }
  // The memory of packed experts, routers, linear maps and the embedding table.
  int64_t weight_bytes() const { return weight_bytes_; }
  // The counters of all FFNs together since the last call.
  runtime::SparseCounters TakeCounters();

 private:
  model::Transformer transformer_;
  std::vector<std::shared_ptr<const runtime::ExpertWeights>> experts_;
  std::vector<std::shared_ptr<route::Router>> routers_;
  std::vector<runtime::SparseFeedForward*> ffns_;  // owned by transformer_
  int64_t weight_bytes_ = 0;
};

}  // namespace moefy::bench
