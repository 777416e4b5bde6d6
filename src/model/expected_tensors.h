// The tensors of a model and which of them make its FFNs: the family's names and the config's sizes
// put together. No tensor is read. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moefy/model/config.h"
#include "moefy/model/ffn_spec.h"

namespace moefy::model {

// A tensor that a model of this config has, under the name that it has in the file.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<std::string> extents;  // what config.json says of each: "d_model 48"
  std::string layers;                // which field says that there is such a layer: "num_layers 3"
  bool required = true;
  bool exchanged = false;  // a weight that Transformer::ExchangeLinears or an FFN takes
};
// Each tensor once, embeddings first, the head last.
std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config);

// Every FFN of the model in the order in which they run, the encoder's first.
std::vector<FfnSpec> FfnSpecs(const ModelConfig& config);

// The names of the layers that use an FFN, in the names of what is computed on the way: the FFN's
// own name, and one more for each further layer that shares it.
std::vector<std::string> LayerNames(const FfnSpec& spec);

// A name template with the layer's index in it: "encoder.block.{}.x", 3 -> "encoder.block.3.x".
std::string LayerName(const std::string& name_template, int64_t layer_idx);

// The layer whose tensors the layer `layer_idx` uses: itself or, where layers share their tensors,
// the number of its group (ModelConfig::num_layer_groups), under which the tensors are stored.
// Source: modeling_albert.py, AlbertTransformer.
int64_t StoredLayer(const ModelConfig& config, int64_t num_layers, int64_t layer_idx);

}  // namespace moefy::model
