// The part of a model that a training may change, and the model's parameters that follow from it.
// Thread-safety: one owner at a time.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "moefy/model/config.h"
#include "moefy/model/tensor_io.h"
#include "train/trainer_options.h"

namespace moefy::train {

// Random weights for a model to be trained from nothing: T5's own scheme for its layout, else
// N(0, 0.02) as BERT, GPT-2 and LLaMA do; norms are the identity, biases 0. Deterministic.
model::TensorMap InitialParameters(const model::ModelConfig& config, uint64_t seed);
// Adds initial values of the parameters that are missing in `parameters`. Returns their names.
std::set<std::string> AddInitialParameters(const model::ModelConfig& config, uint64_t seed,
                                           model::TensorMap& parameters);

// Names of the parameters to train: "all", "ffn" (those of the FFNs) or "w-out" (second matrices
// and biases of the FFNs). Error{kUsage} lists these words.
std::set<std::string> SelectParameters(const model::ModelConfig& config, const std::string& which);
// Names of the matrices inside the blocks.
std::set<std::string> BlockMatrices(const model::ModelConfig& config);

class TrainableWeights {
 public:
  // With LoRA only the matrices among `trained` get adapters, and `fresh` ones are trained
  // themselves all the same. `parameters`, all on one device, are changed in place.
  TrainableWeights(model::TensorMap parameters, const std::set<std::string>& trained,
                   const LoraOptions& lora, uint64_t seed, const std::set<std::string>& fresh = {});

  const model::TensorMap& leaves() const { return leaves_; }         // what an optimizer moves
  const std::set<std::string>& changed() const { return changed_; }  // of the parameters' names
  at::Device device() const { return parameters_.begin()->second.device(); }
  // The model's parameters, differentiable in the leaves.
  model::TensorMap Effective() const;

 private:
  model::TensorMap parameters_;
  model::TensorMap leaves_;
  std::set<std::string> changed_;
  double lora_scale_ = 0;
};

}  // namespace moefy::train
