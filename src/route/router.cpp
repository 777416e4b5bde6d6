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

LinearRouter::LinearRouter(std::string name, at::Tensor w, at::Tensor b)
    : name_(std::move(name)), w_(std::move(w)), b_(std::move(b)) {
  MOEFY_CHECK(w_.dim() == 2 && b_.dim() == 1 && w_.size(0) == b_.size(0));
}

at::Tensor LinearRouter::Scores(const at::Tensor& x) { return at::linear(x, w_, b_); }

double LinearRouter::FlopsPerToken() const { return 2.0 * static_cast<double>(w_.numel()); }

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
  const at::TensorOptions options(at::kFloat);  // on the CPU, for the same numbers on every device
  return at::rand({x.size(0), num_experts_}, generator_, options).to(x.device());
}

OracleRouter::OracleRouter(model::FfnWeights ffn, int64_t num_experts, const Target& target)
    : ffn_(std::move(ffn)), num_experts_(num_experts), target_(target) {}

at::Tensor OracleRouter::Scores(const at::Tensor& x) {
  return Importance(target_, ffn_, x, num_experts_);
}

at::Tensor ExpertCenters(const model::FfnWeights& ffn, int64_t num_experts) {
  const at::Tensor& rows = ffn.w_gate.defined() ? ffn.w_gate : ffn.w_in;  // [neurons, hidden]
  return Normalized(rows).view({num_experts, -1, ffn.hidden()}).mean(1);
}

const std::vector<RouterKind>& RouterKinds() {
  using Shapes = std::vector<std::vector<int64_t>>;
  using Parameters = std::vector<at::Tensor>;
  const auto linear_shapes = [](int64_t experts, int64_t hidden) {
    return Shapes{{experts, hidden}, {experts}};
  };
  static const std::vector<RouterKind> kinds = {
      {"mlp",
       "two small layers, trained (the paper's)",
       true,
       {"w1", "w2"},
       [](int64_t experts, int64_t hidden) {
         return Shapes{{experts, hidden}, {experts, experts}};
       },
       [](const Parameters& p) -> std::unique_ptr<Router> {
         return std::make_unique<MlpRouter>(p[0], p[1]);
       }},
      {"linear",
       "one layer with a bias, trained",
       true,
       {"w", "b"},
       linear_shapes,
       [](const Parameters& p) -> std::unique_ptr<Router> {
         return std::make_unique<LinearRouter>("linear", p[0], p[1]);
       }},
      {"ridge",
       "one layer with a bias, by least squares: no training",
       true,
       {"w", "b"},
       linear_shapes,
       [](const Parameters& p) -> std::unique_ptr<Router> {
         return std::make_unique<LinearRouter>("ridge", p[0], p[1]);
       }},
      {"similarity",
       "cosine with the experts' centers: needs no data",
       false,
       {"centers"},
       [](int64_t experts, int64_t hidden) {
         return Shapes{{experts, hidden}};
       },
       [](const Parameters& p) -> std::unique_ptr<Router> {
         return std::make_unique<SimilarityRouter>(p[0]);
       }},
  };
  return kinds;
}

const RouterKind& GetRouterKind(const std::string& name) {
  std::vector<std::string> names;
  for (const RouterKind& kind : RouterKinds()) {
    if (kind.name == name) return kind;
    names.push_back(kind.name);
  }
  throw UsageError("unknown router ", Quoted(name), DidYouMean(name, names), "; one of ",
                   Join(names));
}

const std::vector<std::string>& RouterNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const RouterKind& kind : RouterKinds()) all.push_back(kind.name);
    for (const Target& target : Targets()) all.push_back(target.oracle);
    all.emplace_back("random");
    return all;
  }();
  return names;
}

}  // namespace moefy::route
