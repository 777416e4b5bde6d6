#include "train/sparse_pressure.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <utility>

#include "base/options.h"
#include "model/contribution.h"
#include "moefy/base/error.h"

namespace moefy::train {
namespace {

at::Tensor Hoyer(const at::Tensor& neurons) {
  const at::Tensor sum = neurons.abs().sum(1);
  const at::Tensor squares = neurons.square().sum(1);
  return (sum.square() / (squares * static_cast<double>(neurons.size(1)) + 1e-12)).mean();
}

at::Tensor MeanMagnitude(const at::Tensor& neurons) { return neurons.abs().mean(); }

struct NamedPenalty {
  const char* name;
  PenaltyFunction function;
};
constexpr std::array<NamedPenalty, 2> kPenalties = {{{"hoyer", Hoyer}, {"l1", MeanMagnitude}}};

}  // namespace

PenaltyFunction GetPenalty(const std::string& name) {
  std::vector<std::string> names;
  for (const NamedPenalty& penalty : kPenalties) {
    if (name == penalty.name) return penalty.function;
    names.emplace_back(penalty.name);
  }
  throw UsageError("--penalty is ", Quoted(name), "; expected one of: ", Join(names));
}

// The plain FFN, which reports what enters W_out.
class PressedFeedForward final : public model::FeedForward {
 public:
  PressedFeedForward(size_t ffn_idx, model::FfnWeights weights, SparsePressure& pressure)
      : ffn_idx_(ffn_idx), weights_(std::move(weights)), pressure_(pressure) {}

  at::Tensor Forward(const at::Tensor& x) override {
    const at::Tensor neurons = model::NeuronActivations(weights_, x);
    if (x.size(0) > 0) pressure_.See(ffn_idx_, weights_, x, neurons);
    return at::linear(neurons, weights_.w_out.t(), weights_.b_out);
  }

 private:
  size_t ffn_idx_;
  model::FfnWeights weights_;
  SparsePressure& pressure_;
};

SparsePressure::SparsePressure(const PressureOptions& options)
    : options_(options), penalty_(GetPenalty(options.penalty)) {}

void SparsePressure::Install(model::Transformer& model) {
  seen_.resize(model.num_ffns());
  for (size_t i = 0; i < model.num_ffns(); ++i) {
    const auto& dense = dynamic_cast<model::DenseFeedForward&>(model.feed_forward(i));
    model.ExchangeFeedForward(i, std::make_unique<PressedFeedForward>(i, dense.weights(), *this));
  }
}

void SparsePressure::See(size_t ffn_idx, const model::FfnWeights& ffn, const at::Tensor& x,
                         const at::Tensor& neurons) {
  if (neurons.requires_grad()) {
    const at::Tensor penalty = penalty_(neurons) / static_cast<double>(seen_.size());
    sum_ = sum_.defined() ? sum_ + penalty : penalty;
  }
  const at::NoGradGuard no_grad;
  // Contributions must be sorted, so few tokens have to do where there are no exact zeros.
  constexpr int64_t kSorted = 32;
  const at::Tensor fires =
      model::HasExactZeros(ffn)
          ? neurons != 0
          : model::UseNeurons(ffn, x.detach().narrow(0, 0, std::min(kSorted, x.size(0)))).fires;
  Seen& seen = seen_[ffn_idx];
  seen.fired += fires.sum().item<double>();
  seen.neurons += static_cast<double>(fires.numel());
}

at::Tensor SparsePressure::TakePenalty() {
  MOEFY_CHECK(sum_.defined());
  return std::exchange(sum_, {}) * weight_;
}

std::vector<double> SparsePressure::TakeActive() {
  std::vector<double> active;
  for (Seen& seen : seen_) {
    active.push_back(seen.fired / std::max(seen.neurons, 1.0));
    seen = {};
  }
  return active;
}

double SparsePressure::Wanted(int64_t step, int64_t num_steps) const {
  const double ramp = options_.ramp * static_cast<double>(num_steps);
  const double done = std::min(1.0, static_cast<double>(step) / std::max(ramp, 1.0));
  return std::pow(std::max(start_, options_.active), 1 - done) * std::pow(options_.active, done);
}

void SparsePressure::Adapt(double active, int64_t step, int64_t num_steps) {
  // A controller of the weight's logarithm with a proportional and an integral part, because the
  // integral alone swings: what fires follows the weight only slowly.
  constexpr double kProportional = 2, kIntegral = 0.05;  // the latter per step
  constexpr double kLeast = 1e-6, kMost = 1e3;
  const double excess =
      std::clamp(std::log(std::max(active, 1e-6) / Wanted(step, num_steps)), -1.0, 1.0);
  integral_ = std::clamp(integral_ * std::exp(kIntegral * excess), kLeast, kMost);
  weight_ = integral_ * std::exp(kProportional * excess);
}

void SparsePressure::Restore(const std::vector<double>& state) {
  integral_ = state.at(0);
  weight_ = state.at(1);
  start_ = state.at(2);
}

}  // namespace moefy::train
