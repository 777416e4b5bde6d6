#include "route/analytic_routers.h"

#include <ATen/CPUGeneratorImpl.h>

#include "moefy/base/error.h"
#include "route/first_matrices.h"

namespace moefy::route {
namespace {

// Rows divided by their length; zero rows stay zero.
at::Tensor Normalized(const at::Tensor& rows) {
  return rows / rows.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);
}

// The unit rows that decide whether a neuron fires, by expert: [experts, neurons, hidden].
at::Tensor DecidingRows(const model::FfnWeights& ffn, int64_t num_experts) {
  const at::Tensor& rows = ffn.w_gate.defined() ? ffn.w_gate : ffn.w_in;  // [neurons, hidden]
  return Normalized(rows).view({num_experts, -1, ffn.hidden()});
}

}  // namespace

SimilarityRouter::SimilarityRouter(at::Tensor centers) : centers_(Normalized(centers)) {}

at::Tensor SimilarityRouter::Scores(const at::Tensor& x) {
  const at::Tensor length = x.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);  // [tokens, 1]
  return at::mm(x, centers_.t()).div_(length);                                  // [tokens, experts]
}

double SimilarityRouter::FlopsPerToken() const {
  return 2.0 * static_cast<double>(centers_.numel());
}

RepresentativeRouter::RepresentativeRouter(std::string name, at::Tensor w, at::Tensor bias,
                                           model::Activation activation)
    : name_(std::move(name)), w_(std::move(w)), bias_(std::move(bias)), activation_(activation) {
  MOEFY_CHECK(w_.dim() == 3 && bias_.dim() == 2 && bias_.size(0) == w_.size(0) &&
              bias_.size(1) == w_.size(1));
}

std::unique_ptr<Router> RepresentativeRouter::Of(std::string name, const model::FfnWeights& ffn,
                                                 const at::Tensor& neurons) {
  return std::make_unique<RepresentativeRouter>(
      std::move(name), FirstMatrices(ffn).index_select(1, neurons),
      FirstBiases(ffn).index_select(1, neurons), ffn.activation);
}

at::Tensor RepresentativeRouter::Scores(const at::Tensor& x) {
  const at::Tensor products = at::matmul(x, w_.transpose(1, 2)) + bias_.unsqueeze(1);
  return CombineProducts(products, activation_).abs();
}

double RepresentativeRouter::FlopsPerToken() const { return 2.0 * static_cast<double>(w_.numel()); }

RandomRouter::RandomRouter(int64_t num_experts, uint64_t seed)
    : num_experts_(num_experts), generator_(at::detail::createCPUGenerator(seed)) {}

at::Tensor RandomRouter::Scores(const at::Tensor& x) {
  const at::TensorOptions options(at::kFloat);  // on the CPU, for the same numbers on every device
  return at::rand({x.size(0), num_experts_}, generator_, options).to(x.device());
}

OracleRouter::OracleRouter(model::FfnWeights ffn, int64_t num_experts, const Target& target,
                           at::Tensor stand_in)
    : ffn_(std::move(ffn)),
      num_experts_(num_experts),
      target_(target),
      stand_in_(std::move(stand_in)) {}

at::Tensor OracleRouter::Scores(const at::Tensor& x) {
  return Importance(target_, ffn_, x, num_experts_, stand_in_);
}

at::Tensor ExpertCenters(const model::FfnWeights& ffn, int64_t num_experts) {
  return DecidingRows(ffn, num_experts).mean(1);
}

MeanRows MeanDecidingRows(const model::FfnWeights& ffn, int64_t num_experts) {
  // The gate comes first, and what an FFN without one has is W_in.
  return {FirstMatrices(ffn)[0].view({num_experts, -1, ffn.hidden()}).mean(1),
          FirstBiases(ffn)[0].view({num_experts, -1}).mean(1)};
}

at::Tensor RepresentativeNeurons(const model::FfnWeights& ffn, int64_t num_experts) {
  const at::Tensor rows = DecidingRows(ffn, num_experts);
  const at::Tensor center = rows.mean(1).unsqueeze(2);                 // [experts, hidden, 1]
  const at::Tensor best = at::bmm(rows, center).squeeze(2).argmax(1);  // [experts]
  return best + at::arange(num_experts, best.options()) * rows.size(1);
}

}  // namespace moefy::route
