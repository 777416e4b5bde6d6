// The tensors of a model outside its FFNs, under the names of LLaMA's layout, which the formats
// share. Thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "export/plan.h"
#include "split/moe_checkpoint.h"

namespace moefy::exports {

// A tensor to write: what it will be, and how to get its values, as F32.
struct ExportedTensor {
  std::string name;
  io::DType dtype;
  std::vector<int64_t> shape;
  std::function<at::Tensor()> read;
};

// Every tensor outside the FFNs, in the model's order. Where the format has biases that the model
// has not, zeros. Where it norms queries and keys and the model does not, the norms are made to do
// nothing: the maps before them are multiplied by 2^-30, so that the mean square of what is normed
// vanishes beside the norm's epsilon, and the norm multiplies by 2^30 times the epsilon's root.
// `moe` outlives the result.
std::vector<ExportedTensor> ModelTensors(const split::MoeCheckpoint& moe, const ExportPlan& plan);

// The type that a tensor of this type is written in: its own, and F32 for F64.
io::DType WrittenType(io::DType stored);

// The weights of such norms of queries and keys. Each is near 2^30 sqrt(epsilon), and their product
// is nearest to 2^60 epsilon of what `dtype` can hold.
struct NeutralNorms {
  double query, key;
};
NeutralNorms NeutralNormsFor(double epsilon, io::DType dtype);

// The weight [hidden] of the norm before a layer's FFN, F32.
at::Tensor ReadFfnNorm(const split::MoeCheckpoint& moe, int64_t layer_idx);

}  // namespace moefy::exports
