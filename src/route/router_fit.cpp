#include "route/router_fit.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "moefy/base/error.h"
#include "moefy/route/selection.h"

namespace moefy::route {
namespace {

// One parameter and its state. Source: Kingma and Ba, arXiv 1412.6980, algorithm 1.
class AdamParameter {
 public:
  explicit AdamParameter(const at::Tensor& start)
      : value_(start.clone()), mean_(at::zeros_like(start)), square_(at::zeros_like(start)) {}

  const at::Tensor& value() const { return value_; }
  void Step(const at::Tensor& gradient, double learning_rate) {
    constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
    ++step_;
    mean_.mul_(kBeta1).add_(gradient, 1 - kBeta1);
    square_.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
    const double mean_bias = 1 - std::pow(kBeta1, step_);
    const double square_bias = 1 - std::pow(kBeta2, step_);
    value_.addcdiv_(mean_, square_.div(square_bias).sqrt_().add_(kEpsilon),
                    -learning_rate / mean_bias);
  }

 private:
  at::Tensor value_, mean_, square_;
  double step_ = 0;
};

// A router in training. Its loss is the mean binary cross-entropy of sigmoid(scores) with targets
// in [0, 1]; gradients are written out because autograd would cost more than the products of so
// small a network.
class Learner {
 public:
  virtual ~Learner() = default;
  virtual at::Tensor Inputs(const at::Tensor& x) const = 0;  // as Step wants them
  // x [batch, hidden], target [batch, experts]
  virtual void Step(const at::Tensor& x, const at::Tensor& target, double learning_rate) = 0;
  virtual std::unique_ptr<Router> Get() const = 0;
};

at::Tensor LogitGradient(const at::Tensor& logits, const at::Tensor& target) {
  return at::sigmoid(logits).sub_(target).div_(static_cast<double>(logits.numel()));
}

class MlpLearner final : public Learner {
 public:
  explicit MlpLearner(const FitRequest& request)
      : w1_(ExpertCenters(request.ffn, request.num_experts)),
        w2_(at::eye(request.num_experts, request.x.options())) {}
  at::Tensor Inputs(const at::Tensor& x) const override {
    return x / x.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);
  }
  void Step(const at::Tensor& x, const at::Tensor& target, double learning_rate) override {
    const at::Tensor h = at::mm(x, w1_.value().t()).tanh_();  // [batch, experts]
    const at::Tensor d_logits = LogitGradient(at::mm(h, w2_.value().t()), target);
    const at::Tensor d_h = at::mm(d_logits, w2_.value()).mul_(1 - h * h);
    w2_.Step(at::mm(d_logits.t(), h), learning_rate);
    w1_.Step(at::mm(d_h.t(), x), learning_rate);
  }
  std::unique_ptr<Router> Get() const override {
    return std::make_unique<MlpRouter>(w1_.value().clone(), w2_.value().clone());
  }

 private:
  AdamParameter w1_, w2_;
};

// Begins at the mean target. Inputs are scaled to a length of about 1, by one number for all, so
// that one learning rate fits every model.
class LinearLearner final : public Learner {
 public:
  explicit LinearLearner(const FitRequest& request)
      : scale_(1.0 / std::max(1e-12, request.x.norm(2, {1}).mean().item<double>())),
        w_(at::zeros({request.num_experts, request.ffn.hidden()}, request.x.options())),
        b_(request.target.mean(0).clamp(1e-6, 1 - 1e-6).logit()) {}
  at::Tensor Inputs(const at::Tensor& x) const override { return x * scale_; }
  void Step(const at::Tensor& x, const at::Tensor& target, double learning_rate) override {
    const at::Tensor d_logits = LogitGradient(at::linear(x, w_.value(), b_.value()), target);
    w_.Step(at::mm(d_logits.t(), x), learning_rate);
    b_.Step(d_logits.sum(0), learning_rate);
  }
  std::unique_ptr<Router> Get() const override {
    return std::make_unique<LinearRouter>("linear", w_.value() * scale_, b_.value().clone());
  }

 private:
  double scale_;
  AdamParameter w_, b_;
};

// Keeps the router that caught most, and knows when enough others have not.
class Best {
 public:
  explicit Best(const FitRequest& request) : request_(request) {}
  void Offer(std::unique_ptr<Router> router, int64_t epoch) {
    const double caught =
        CaughtShare(router->Scores(request_.held_x), request_.held_target, request_.num_selected);
    if (fitted_.router && !(caught > caught_)) return;
    caught_ = caught;
    fitted_ = {std::move(router), epoch};
  }
  int64_t epoch() const { return fitted_.best_epoch; }
  Fitted Take() { return std::move(fitted_); }

 private:
  const FitRequest& request_;
  Fitted fitted_;
  double caught_ = 0;
};

Fitted Train(const FitRequest& request, Learner& learner) {
  const TrainOptions& options = request.options;
  const at::Tensor x = learner.Inputs(request.x);
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  Best best(request);
  best.Offer(learner.Get(), 0);
  for (int64_t epoch = 1; epoch <= options.epochs; ++epoch) {
    const at::Tensor order = at::randperm(x.size(0), generator).to(x.device());
    for (const at::Tensor& batch : order.split(options.batch_size)) {
      ThrowIfInterrupted();
      learner.Step(x.index_select(0, batch), request.target.index_select(0, batch),
                   options.learning_rate);
    }
    best.Offer(learner.Get(), epoch);
    if (options.patience > 0 && epoch - best.epoch() >= options.patience) break;
  }
  return best.Take();
}

Fitted FitMlp(const FitRequest& request) {
  MlpLearner learner(request);
  return Train(request, learner);
}

Fitted FitLinear(const FitRequest& request) {
  LinearLearner learner(request);
  return Train(request, learner);
}

// Least squares of the target on [x, 1]; of some strengths of the penalty the best is kept.
Fitted FitRidge(const FitRequest& request) {
  constexpr int64_t kChunk = 4096;
  const int64_t width = request.ffn.hidden() + 1;
  const at::TensorOptions options = request.x.options().dtype(at::kDouble);
  at::Tensor gram = at::zeros({width, width}, options);
  at::Tensor right = at::zeros({width, request.num_experts}, options);
  for (int64_t begin = 0; begin < request.x.size(0); begin += kChunk) {
    const int64_t tokens = std::min(kChunk, request.x.size(0) - begin);
    const at::Tensor x = at::cat(
        {request.x.narrow(0, begin, tokens).to(at::kDouble), at::ones({tokens, 1}, options)}, 1);
    gram.add_(at::mm(x.t(), x));
    right.add_(at::mm(x.t(), request.target.narrow(0, begin, tokens).to(at::kDouble)));
  }
  const at::Tensor size = gram.diagonal().mean().clamp_min(1e-12);
  Best best(request);
  for (const double strength : {1e-6, 1e-4, 1e-3, 1e-2}) {
    const at::Tensor factor = at::linalg_cholesky(gram + at::eye(width, options) * size * strength);
    const at::Tensor solution = at::cholesky_solve(right, factor).t().to(at::kFloat).contiguous();
    best.Offer(
        std::make_unique<LinearRouter>("ridge", solution.narrow(1, 0, width - 1).contiguous(),
                                       solution.select(1, width - 1).contiguous()),
        0);
  }
  return best.Take();
}

Fitted FitSimilarity(const FitRequest& request) {
  return {std::make_unique<SimilarityRouter>(ExpertCenters(request.ffn, request.num_experts)), 0};
}

struct Fitter {
  const char* kind;
  Fitted (*fit)(const FitRequest& request);
};
constexpr Fitter kFitters[] = {
    {"mlp", FitMlp}, {"linear", FitLinear}, {"ridge", FitRidge}, {"similarity", FitSimilarity}};

}  // namespace

Fitted FitRouter(const FitRequest& request) {
  const std::string& kind = GetRouterKind(request.options.router).name;
  for (const Fitter& fitter : kFitters) {
    if (kind == fitter.kind) return fitter.fit(request);
  }
  MOEFY_CHECK(false && "a router kind without a way to fit it");
  return {};
}

double CaughtShare(const at::Tensor& scores, const at::Tensor& target, int64_t k) {
  const double total = target.sum(at::kDouble).item<double>();
  const at::Tensor caught = target.gather(1, SelectTopK(scores, k));
  return total > 0 ? caught.sum(at::kDouble).item<double>() / total : 1.0;
}

}  // namespace moefy::route
