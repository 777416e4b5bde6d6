// What a training may change of a model, and the model's parameters that follow from it.
// Thread-safety: one owner at a time.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "moefy/model/config.h"
#include "moefy/model/tensor_io.h"

namespace moefy::train {

// Random weights for a model to be trained from nothing: T5's own scheme for its layout, else
// N(0, 0.02) as BERT, GPT-2 and LLaMA do; norms are the identity, biases 0. Deterministic.
model::TensorMap InitialParameters(const model::ModelConfig& config, uint64_t seed);
// The same for those parameters alone that are not there. Returns their names.
std::set<std::string> AddInitialParameters(const model::ModelConfig& config, uint64_t seed,
                                           model::TensorMap& parameters);

// Names of parameters by what they are for: "all"; "ffn": the FFNs'; "w-out": their second
// matrices and biases. Error{kUsage} lists the names.
std::set<std::string> SelectParameters(const model::ModelConfig& config, const std::string& which);
// Matrices inside the blocks.
std::set<std::string> BlockMatrices(const model::ModelConfig& config);

// LoRA (Hu et al., arXiv 2106.09685): W + alpha / rank * B A, where only A [rank, in] and B
// [out, rank] are trained; B starts at 0.
struct LoraOptions {
  int64_t rank = 0;  // 0: the parameters themselves are trained
  double alpha = 16;
};

class TrainableWeights {
 public:
  // With LoRA only the matrices among `trained` get adapters. Those `fresh` are trained themselves
  // in any case. `parameters`, all on one device, are changed in place where they are.
  TrainableWeights(model::TensorMap parameters, const std::set<std::string>& trained,
                   const LoraOptions& lora, uint64_t seed, const std::set<std::string>& fresh = {});

  const model::TensorMap& leaves() const { return leaves_; }         // what an optimizer moves
  const std::set<std::string>& changed() const { return changed_; }  // of the parameters' names
  at::Device device() const { return parameters_.begin()->second.device(); }
  // The model's parameters; differentiable in the leaves.
  model::TensorMap Effective() const;

 private:
  model::TensorMap parameters_;
  model::TensorMap leaves_;
  std::set<std::string> changed_;
  double lora_scale_ = 0;
};

}  // namespace moefy::train
