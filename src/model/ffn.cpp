#include "moefy/model/ffn.h"

#include <algorithm>

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
  const auto matrix = [&](const std::string& name, bool neurons_first) -> at::Tensor {
    if (name.empty()) return {};
    return neurons_first ? ReadShaped(checkpoint, name, {neurons, hidden})
                         : ReadShaped(checkpoint, name, {hidden, neurons}).t();
  };
  FfnWeights ffn;
  ffn.w_in = matrix(spec.w_in, !spec.transposed);
  ffn.b_in = ReadShaped(checkpoint, spec.b_in, {neurons});
  ffn.w_gate = matrix(spec.w_gate, !spec.transposed);
  ffn.b_gate = ReadShaped(checkpoint, spec.b_gate, {neurons});
  ffn.w_out = matrix(spec.w_out, spec.transposed);
  ffn.b_out = ReadShaped(checkpoint, spec.b_out, {hidden});
  ffn.activation = spec.activation;
  return ffn;
}

FfnWeights FfnWeights::To(at::Device device) const {
  FfnWeights moved = *this;
  for (at::Tensor* t :
       {&moved.w_in, &moved.b_in, &moved.w_gate, &moved.w_out, &moved.b_out, &moved.b_gate}) {
    if (t->defined()) *t = t->to(device);
  }
  return moved;
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

FfnSteps RunFfnSteps(const FfnWeights& ffn, const at::Tensor& x) {
  FfnSteps steps;
  const at::Tensor in = at::linear(x, ffn.w_in, ffn.b_in);  // [tokens, neurons]
  if (!ffn.w_gate.defined()) {
    steps.act = steps.down_in = Activate(ffn.activation, in);
    return steps;
  }
  steps.up = in;
  steps.act = Activate(ffn.activation, at::linear(x, ffn.w_gate, ffn.b_gate));
  steps.down_in = steps.act * in;
  return steps;
}

at::Tensor NeuronActivations(const FfnWeights& ffn, const at::Tensor& x) {
  return RunFfnSteps(ffn, x).down_in;
}

DenseFeedForward::DenseFeedForward(FfnWeights weights) : weights_(std::move(weights)) {}

void FeedForward::ForwardInto(const float* x, int64_t tokens, int64_t hidden, float* y) {
  const at::Tensor in = at::from_blob(const_cast<float*>(x), {tokens, hidden}, at::kFloat);
  const at::Tensor out = Forward(in).contiguous();
  std::copy_n(out.data_ptr<float>(), tokens * hidden, y);
}

at::Tensor DenseFeedForward::Forward(const at::Tensor& x) {
  return at::linear(NeuronActivations(weights_, x), weights_.w_out.t(), weights_.b_out);
}

}  // namespace moefy::model
