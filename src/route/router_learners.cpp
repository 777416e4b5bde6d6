#include "route/router_learners.h"

#include <ATen/CPUGeneratorImpl.h>

#include "model/adam.h"
#include "moefy/base/progress.h"
#include "route/analytic_routers.h"
#include "route/learned_routers.h"

namespace moefy::route {
namespace {

// A parameter in training, moved by Adam with its paper's decays.
class AdamParameter {
 public:
  explicit AdamParameter(const at::Tensor& start)
      : value_(start.clone()), mean_(at::zeros_like(start)), square_(at::zeros_like(start)) {}

  const at::Tensor& value() const { return value_; }
  void Step(const at::Tensor& gradient, double learning_rate) {
    model::AdamStep({value_, mean_, square_}, gradient, learning_rate, ++num_steps_,
                    {.mean_decay = 0.9, .square_decay = 0.999});
  }

 private:
  at::Tensor value_, mean_, square_;
  double num_steps_ = 0;
};

// A router in training; gradients are written out because autograd would cost more than the
// products of so small a network.
class Learner {
 public:
  virtual ~Learner() = default;
  virtual at::Tensor Inputs(const at::Tensor& x) const = 0;  // x as Step wants it
  // x [batch, hidden], target [batch, experts]
  virtual void Step(const at::Tensor& x, const at::Tensor& target, double learning_rate) = 0;
  virtual std::unique_ptr<Router> Get() const = 0;
};

// The gradient of the mean binary cross-entropy of sigmoid(logits) with targets in [0, 1].
at::Tensor LogitGradient(const at::Tensor& logits, const at::Tensor& target) {
  return at::sigmoid(logits).sub_(target).div_(static_cast<double>(logits.numel()));
}

class MlpLearner final : public Learner {
 public:
  explicit MlpLearner(const FitRequest& request)
      : w1_(ExpertCenters(request.ffn, request.num_experts)),
        w2_(at::eye(request.num_experts, request.held_x.options())) {}
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

// One over the mean length of the inputs: with inputs times that, one learning rate fits every
// model.
double InputScale(const at::Tensor& x) {
  return 1.0 / std::max(1e-12, x.norm(2, {1}).mean().item<double>());
}

// A linear router, which begins at the mean target.
class LinearLearner final : public Learner {
 public:
  LinearLearner(const FitRequest& request, const RouterBatch& first)
      : scale_(InputScale(first.x)),
        w_(at::zeros({request.num_experts, request.ffn.hidden()}, first.x.options())),
        b_(first.target.mean(0).clamp(1e-6, 1 - 1e-6).logit()) {}
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

// A router of two layers that learns by squared error. It begins at the mean target, with random
// directions in the first layer.
class RegressionLearner final : public Learner {
 public:
  RegressionLearner(const FitRequest& request, const RouterBatch& first, int64_t width)
      : scale_(InputScale(first.x)),
        w1_(RandomRows(width, request)),
        b1_(at::zeros({width}, first.x.options())),
        w2_(at::zeros({request.num_experts, width}, first.x.options())),
        b2_(first.target.mean(0)) {}
  at::Tensor Inputs(const at::Tensor& x) const override { return x * scale_; }
  void Step(const at::Tensor& x, const at::Tensor& target, double learning_rate) override {
    const at::Tensor h = at::linear(x, w1_.value(), b1_.value()).relu_();  // [batch, width]
    const at::Tensor d_scores = at::linear(h, w2_.value(), b2_.value())
                                    .sub_(target)
                                    .mul_(2.0 / static_cast<double>(target.numel()));
    const at::Tensor d_h = at::mm(d_scores, w2_.value()).mul_(h > 0);
    w2_.Step(at::mm(d_scores.t(), h), learning_rate);
    b2_.Step(d_scores.sum(0), learning_rate);
    w1_.Step(at::mm(d_h.t(), x), learning_rate);
    b1_.Step(d_h.sum(0), learning_rate);
  }
  std::unique_ptr<Router> Get() const override {
    return std::make_unique<RegressionRouter>(w1_.value() * scale_, b1_.value().clone(),
                                              w2_.value().clone(), b2_.value().clone());
  }

 private:
  static at::Tensor RandomRows(int64_t width, const FitRequest& request) {
    at::Generator generator = at::detail::createCPUGenerator(request.options.seed);
    const at::Tensor rows = at::randn({width, request.ffn.hidden()}, generator, at::kFloat);
    return rows.to(request.held_x.device());
  }

  double scale_;
  AdamParameter w1_, b1_, w2_, b2_;
};

Fitted Train(const FitRequest& request, Learner& learner) {
  const RouterTrainOptions& options = request.options;
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  BestRouter best(request);
  best.Offer(learner.Get(), 0);
  RouterBatch batch;
  for (int64_t epoch = 1; epoch <= options.epochs; ++epoch) {
    if (epoch == 1 || request.num_batches > 1) {
      batch = request.batch(epoch - 1);
      batch.x = learner.Inputs(batch.x);
    }
    const at::Tensor order = at::randperm(batch.x.size(0), generator).to(batch.x.device());
    for (const at::Tensor& rows : order.split(options.batch_size)) {
      ThrowIfInterrupted();
      learner.Step(batch.x.index_select(0, rows), batch.target.index_select(0, rows),
                   options.learning_rate);
    }
    best.Offer(learner.Get(), epoch);
    if (options.patience > 0 && epoch - best.epoch() >= options.patience) break;
  }
  return best.Take();
}

}  // namespace

Fitted FitMlp(const FitRequest& request) {
  MlpLearner learner(request);
  return Train(request, learner);
}

Fitted FitLinear(const FitRequest& request) {
  LinearLearner learner(request, request.batch(0));
  return Train(request, learner);
}

Fitted FitRegression(const FitRequest& request) {
  constexpr int64_t kWidth = 128;  // as D2DMoE has it
  const int64_t width = request.options.width > 0 ? request.options.width : kWidth;
  RegressionLearner learner(request, request.batch(0), width);
  return Train(request, learner);
}

}  // namespace moefy::route
