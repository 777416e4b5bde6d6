#include "bench/benchmark_layer.h"

#include <cmath>

#include "record/activation_dump.h"
#include "route/learned_routers.h"
#include "route/router_reader.h"
#include "split/moe_checkpoint.h"

namespace moefy::bench {
namespace {

using model::Activation;

void ActivateInPlace(const Activation& activation, at::Tensor& x) {
  switch (activation.kind) {
    case Activation::kRelu:
      at::relu_(x);
      break;
    case Activation::kGelu:
      at::gelu_(x);
      break;
    case Activation::kGeluTanh:
      at::gelu_(x, "tanh");
      break;
    case Activation::kSilu:
      at::silu_(x);
      break;
    default:
      x = model::Activate(activation, x);
  }
}

}  // namespace

BenchmarkLayer ReadLayer(const split::MoeCheckpoint& moe, const record::ActivationDump& dump,
                         size_t ffn_idx) {
  const model::FfnSpec& spec = moe.ffns()[ffn_idx].spec;
  const model::FfnWeights ffn = model::ReadFfnWeights(moe.weights(), spec);
  BenchmarkLayer layer;
  layer.w_in = ffn.w_in;
  layer.b_in = ffn.b_in;
  layer.w_gate = ffn.w_gate;
  layer.w_out = ffn.w_out.t().contiguous();
  layer.b_out = ffn.b_out;
  layer.router = route::ReadMlpRouter(moe, ffn_idx);
  layer.dumped_ffn = dump.GetFfn(spec.name);
  return layer;
}

BenchmarkLayer MakeLayer(const BenchmarkShape& shape, at::Generator& generator) {
  const int64_t neurons = shape.num_neurons, hidden = shape.hidden;
  const auto random = [&](at::IntArrayRef size, int64_t num_inputs) {
    return at::randn(size, generator).mul_(1 / std::sqrt(static_cast<double>(num_inputs)));
  };
  BenchmarkLayer layer;
  layer.w_in = random({neurons, hidden}, hidden);
  layer.w_out = random({hidden, neurons}, neurons);
  if (shape.gated) layer.w_gate = random({neurons, hidden}, hidden);
  if (shape.biases) {
    layer.b_in = random({neurons}, hidden);
    layer.b_out = random({hidden}, hidden);
  }
  layer.router = std::make_shared<route::MlpRouter>(
      random({shape.num_experts, hidden}, 1), random({shape.num_experts, shape.num_experts}, 1));
  return layer;
}

at::Tensor RunDense(const BenchmarkLayer& layer, const Activation& activation,
                    const at::Tensor& x) {
  at::Tensor h = at::linear(x, layer.w_in, layer.b_in);  // [tokens, neurons]
  if (layer.w_gate.defined()) {
    at::Tensor gate = at::linear(x, layer.w_gate);
    ActivateInPlace(activation, gate);
    if (activation.on_both) ActivateInPlace(activation, h);
    h.mul_(gate);
  } else {
    ActivateInPlace(activation, h);
  }
  return at::linear(h, layer.w_out, layer.b_out);
}

}  // namespace moefy::bench
