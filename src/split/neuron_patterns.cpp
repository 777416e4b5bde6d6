#include "split/neuron_patterns.h"

#include <algorithm>
#include <vector>

#include "moefy/base/error.h"

namespace moefy::split {
namespace {

constexpr int64_t kMarked = 10;      // neurons of a token, in CMoE's code and experiments
constexpr int64_t kPartTokens = 64;  // of a profile

at::Tensor Finite(at::Tensor activations) {
  if (activations.isfinite().all().item<bool>()) return activations;
  throw InputError("an activation is not finite; neurons cannot be told apart by what they do");
}

// The gate's magnitude after the activation, [tokens, neurons].
at::Tensor OpenGates(const model::FfnWeights& ffn, const at::Tensor& x) {
  if (!ffn.w_gate.defined()) return model::NeuronActivations(ffn, x).abs();
  return model::Activate(ffn.activation, at::linear(x, ffn.w_gate, ffn.b_gate)).abs();
}

}  // namespace

at::Tensor MarkLargest(const model::FfnWeights& ffn, const at::Tensor& x) {
  const int64_t marked = std::clamp<int64_t>(ffn.num_neurons() / 10, 1, kMarked);
  const at::Tensor magnitudes = Finite(model::NeuronActivations(ffn, x).abs());
  const at::Tensor least = std::get<0>(magnitudes.topk(marked, 1)).amin(1, /*keepdim=*/true);
  return magnitudes.ge(least).logical_and(magnitudes > 0).to(at::kFloat);
}

at::Tensor ActivationMarks(const model::FfnWeights& ffn, const record::RecordedInputs& inputs,
                           int64_t max_tokens) {
  std::vector<at::Tensor> pieces = {at::zeros({0, ffn.num_neurons()})};
  inputs.Visit(max_tokens, [&](const at::Tensor& x) { pieces.push_back(MarkLargest(ffn, x)); });
  return at::cat(pieces).t();
}

at::Tensor GateProfiles(const model::FfnWeights& ffn, const record::RecordedInputs& inputs,
                        int64_t max_tokens) {
  std::vector<at::Tensor> parts;
  inputs.Visit(max_tokens, [&](const at::Tensor& x) {
    const at::Tensor gates = Finite(OpenGates(ffn, x));
    for (const at::Tensor& part : gates.split(kPartTokens)) {
      if (part.size(0) == kPartTokens || (parts.empty() && part.size(0) == x.size(0))) {
        parts.push_back(part.mean(0));
      }
    }
  });
  if (parts.empty()) return at::zeros({ffn.num_neurons(), 1});
  return at::stack(parts, 1);
}

at::Tensor Variation(const at::Tensor& profiles) {
  const at::Tensor mean = profiles.mean(1);
  return profiles.std(1, /*unbiased=*/false) / mean.clamp_min(1e-30);
}

}  // namespace moefy::split
