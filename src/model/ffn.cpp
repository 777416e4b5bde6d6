#include "moefy/model/ffn.h"

#include <map>

#include "model/linear.h"
#include "model/unusable_weights.h"
#include "moefy/base/error.h"
#include "moefy/model/tensor_io.h"

namespace moefy::model {

FfnWeights MakeFfnWeights(const FfnSpec& spec,
                          const std::function<at::Tensor(const std::string& name)>& find) {
  const int64_t neurons = spec.num_neurons, hidden = spec.hidden;
  const auto shaped = [&](const std::string& name, at::IntArrayRef shape) {
    at::Tensor tensor = find(name);
    if (tensor.sizes() != shape) {
      throw InputError("tensor ", Quoted(name), " has shape ", FormatShape(tensor.sizes().vec()),
                       "; expected ", FormatShape(shape.vec()));
    }
    return tensor;
  };
  // Takes a matrix or a bias that has one entry per neuron; of a fused pair, the given half of the
  // tensor.
  const auto rows = [&](const std::string& name, std::vector<int64_t> tail, int64_t half) {
    if (name.empty()) return at::Tensor();
    const int64_t parts = spec.fused() ? 2 : 1;
    tail.insert(tail.begin(), parts * neurons);
    const at::Tensor all = shaped(name, tail);
    return parts == 1 ? all : all.narrow(0, half * neurons, neurons);
  };
  const auto first = [&](const std::string& name, int64_t half) {
    if (name.empty()) return at::Tensor();
    return spec.transposed ? shaped(name, {hidden, neurons}).t() : rows(name, {hidden}, half);
  };
  FfnWeights ffn;
  ffn.w_in = first(spec.w_in, 1);
  ffn.b_in = rows(spec.b_in, {}, 1);
  ffn.w_gate = first(spec.w_gate, 0);
  ffn.b_gate = rows(spec.b_gate, {}, 0);
  ffn.w_out = spec.transposed ? shaped(spec.w_out, {neurons, hidden})
                              : shaped(spec.w_out, {hidden, neurons}).t();
  if (!spec.b_out.empty()) ffn.b_out = shaped(spec.b_out, {hidden});
  ffn.activation = spec.activation;
  return ffn;
}

FfnWeights ReadFfnWeights(const io::Checkpoint& checkpoint, const FfnSpec& spec) {
  std::map<std::string, at::Tensor> read;  // the halves of a fused pair are read once
  return MakeFfnWeights(spec, [&](const std::string& name) {
    at::Tensor& tensor = read[name];
    if (!tensor.defined()) {
      if (!checkpoint.Find(name)) RefusePackedWeights(checkpoint);
      tensor = ReadTensor(checkpoint, name);
    }
    return tensor;
  });
}

FfnWeights ReadFfnBiases(const io::Checkpoint& checkpoint, const FfnSpec& spec) {
  const int64_t neurons = spec.num_neurons, hidden = spec.hidden;
  return MakeFfnWeights(spec, [&](const std::string& name) {
    const auto matrix = [&](int64_t out, int64_t in) {
      const bool turned = spec.transposed;
      return at::empty({turned ? in : out, turned ? out : in},
                       at::device(at::kMeta).dtype(at::kFloat));
    };
    if (name == spec.w_in || name == spec.w_gate) {
      return matrix(spec.fused() ? 2 * neurons : neurons, hidden);
    }
    return name == spec.w_out ? matrix(hidden, neurons) : ReadTensor(checkpoint, name);
  });
}

namespace {

template <class Change>
FfnWeights Changed(FfnWeights ffn, const Change& change) {
  for (at::Tensor* t : {&ffn.w_in, &ffn.b_in, &ffn.w_gate, &ffn.w_out, &ffn.b_out, &ffn.b_gate}) {
    if (t->defined()) *t = change(*t);
  }
  return ffn;
}

}  // namespace

FfnWeights FfnWeights::To(at::Device device) const {
  return Changed(*this, [&](const at::Tensor& t) { return t.to(device); });
}
FfnWeights FfnWeights::InF32() const { return Changed(*this, Widened); }

at::Tensor Activate(const Activation& activation, const at::Tensor& x) {
  switch (activation.kind) {
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kRelu2:
      return at::relu(x).square();
    case Activation::kRelu6:
      return at::clamp(x, 0, 6);
    case Activation::kFatRelu:
      return at::threshold(x, activation.threshold, 0);
    case Activation::kLeakyRelu:
      return at::leaky_relu(x, 0.01);
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGelu10:
      return at::clamp(at::gelu(x), -10, 10);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kQuickGelu:
      return x * at::sigmoid(x * 1.702);
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kMish:
      return at::mish(x);
  }
  MOEFY_CHECK(false && "unknown activation");
  return {};
}

at::Tensor ActivateGated(const Activation& activation, const at::Tensor& gate,
                         const at::Tensor& up) {
  return Activate(activation, gate) * (activation.on_both ? Activate(activation, up) : up);
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
  steps.down_in = steps.act * (ffn.activation.on_both ? Activate(ffn.activation, in) : in);
  return steps;
}

at::Tensor NeuronActivations(const FfnWeights& ffn, const at::Tensor& x) {
  return RunFfnSteps(ffn, x).down_in;
}

}  // namespace moefy::model
