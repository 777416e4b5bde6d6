#include "moefy/route/router.h"

#include <ATen/CPUGeneratorImpl.h>

#include "moefy/base/error.h"

namespace moefy::route {
namespace {

// Rows divided by their length; zero rows stay zero.
at::Tensor Normalized(const at::Tensor& rows) {
  return rows / rows.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);
}

}  // namespace

MlpRouter::MlpRouter(at::Tensor w1, at::Tensor w2) : w1_(std::move(w1)), w2_(std::move(w2)) {
  MOEFY_CHECK(w1_.dim() == 2 && w2_.dim() == 2 && w2_.size(0) == w2_.size(1) &&
              w1_.size(0) == w2_.size(0));
}

at::Tensor MlpRouter::Scores(const at::Tensor& x) {
  // Dividing the few scores by |x| instead of the whole input.
  const at::Tensor length = x.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);  // [tokens, 1]
  return at::mm(at::mm(x, w1_.t()).div_(length).tanh_(), w2_.t());              // [tokens, experts]
}

double MlpRouter::FlopsPerToken() const {
  return 2.0 * static_cast<double>(w1_.numel() + w2_.numel());
}

SimilarityRouter::SimilarityRouter(at::Tensor centers) : centers_(Normalized(centers)) {}

at::Tensor SimilarityRouter::Scores(const at::Tensor& x) {
  const at::Tensor length = x.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);  // [tokens, 1]
  return at::mm(x, centers_.t()).div_(length);                                  // [tokens, experts]
}

double SimilarityRouter::FlopsPerToken() const {
  return 2.0 * static_cast<double>(centers_.numel());
}

RandomRouter::RandomRouter(int64_t num_experts, uint64_t seed)
    : num_experts_(num_experts), generator_(at::detail::createCPUGenerator(seed)) {}

at::Tensor RandomRouter::Scores(const at::Tensor& x) {
  return at::rand({x.size(0), num_experts_}, generator_, at::TensorOptions(at::kFloat));
}

OracleRouter::OracleRouter(model::FfnWeights ffn, int64_t num_experts)
    : ffn_(std::move(ffn)), num_experts_(num_experts) {}

at::Tensor OracleRouter::Scores(const at::Tensor& x) {
  return ActivationMass(ffn_, x, num_experts_);
}

at::Tensor ActivationMass(const model::FfnWeights& ffn, const at::Tensor& x, int64_t num_experts) {
  constexpr int64_t kChunk = 1024;  // tokens whose neurons are in memory at once
  const int64_t neurons_per_expert = ffn.num_neurons() / num_experts;
  MOEFY_CHECK(neurons_per_expert * num_experts == ffn.num_neurons());
  at::Tensor mass = at::empty({x.size(0), num_experts}, x.options());
  for (int64_t begin = 0; begin < x.size(0); begin += kChunk) {
    const int64_t tokens = std::min(kChunk, x.size(0) - begin);
    const at::Tensor neurons = model::NeuronActivations(ffn, x.narrow(0, begin, tokens));
    mass.narrow(0, begin, tokens)
        .copy_(neurons.clamp_min(0).view({tokens, num_experts, neurons_per_expert}).sum(2));
  }
  return mass;  // [tokens, experts]
}

at::Tensor ExpertCenters(const model::FfnWeights& ffn, int64_t num_experts) {
  const at::Tensor& rows = ffn.w_gate.defined() ? ffn.w_gate : ffn.w_in;  // [neurons, hidden]
  return Normalized(rows).view({num_experts, -1, ffn.hidden()}).mean(1);
}

const std::vector<std::string>& RouterNames() {
  static const std::vector<std::string> names = {"mlp", "similarity", "oracle", "random"};
  return names;
}

}  // namespace moefy::route
