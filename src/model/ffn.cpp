#include "moefy/model/ffn.h"

#include "moefy/base/error.h"
#include "moefy/model/feed_forward.h"
#include "moefy/model/transformer.h"

namespace moefy::model {
namespace {

at::Tensor ReadShaped(const io::Checkpoint& checkpoint, const std::string& name,
                      const std::vector<int64_t>& shape) {
  if (name.empty()) return {};
  at::Tensor tensor = ReadTensor(checkpoint, name);
  if (tensor.sizes() != at::IntArrayRef(shape)) {
    throw InputError("tensor ", Quoted(name), " has shape ", FormatShape(tensor.sizes().vec()),
                     "; expected ", FormatShape(shape));
  }
  return tensor;
}

}  // namespace

FfnWeights ReadFfnWeights(const io::Checkpoint& checkpoint, const FfnSpec& spec) {
  const int64_t neurons = spec.num_neurons, hidden = spec.hidden;
  FfnWeights ffn;
  ffn.w_in = ReadShaped(checkpoint, spec.w_in, {neurons, hidden});
  ffn.b_in = ReadShaped(checkpoint, spec.b_in, {neurons});
  ffn.w_gate = ReadShaped(checkpoint, spec.w_gate, {neurons, hidden});
  ffn.w_out = ReadShaped(checkpoint, spec.w_out, {hidden, neurons}).t();
  ffn.b_out = ReadShaped(checkpoint, spec.b_out, {hidden});
  ffn.activation = spec.activation;
  return ffn;
}

at::Tensor Activate(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kSilu:
      return at::silu(x);
  }
  MOEFY_CHECK(false && "unknown activation");
  return {};
}

at::Tensor NeuronActivations(const FfnWeights& ffn, const at::Tensor& x) {
  const at::Tensor in = at::linear(x, ffn.w_in, ffn.b_in);  // [tokens, neurons]
  if (!ffn.w_gate.defined()) return Activate(ffn.activation, in);
  return Activate(ffn.activation, at::linear(x, ffn.w_gate)) * in;
}

DenseFeedForward::DenseFeedForward(FfnWeights weights) : weights_(std::move(weights)) {}

at::Tensor DenseFeedForward::Forward(const at::Tensor& x) {
  return at::linear(NeuronActivations(weights_, x), weights_.w_out.t(), weights_.b_out);
}

}  // namespace moefy::model
