// Pressure towards few firing neurons. FFNs that compute what dense ones do tell this object, for
// every batch, which of their neurons fire, and a penalty that falls as fewer do. The penalty's
// weight in the objective follows from how many neurons should fire by then. One owner at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moefy/model/transformer.h"
#include "train/trainer_options.h"

namespace moefy::train {

// The penalty of what enters W_out, neurons [tokens, n]: a differentiable scalar.
//   hoyer  mean over tokens of (sum |a|)^2 / (n sum a^2): 1 / n if one neuron fires, 1 if all fire
//          alike (D2DMoE, arXiv 2310.04361, section 3.1)
//   l1     mean of |a| (ProSparse, arXiv 2402.13516, section 3.2)
using PenaltyFunction = at::Tensor (*)(const at::Tensor& neurons);
// Throws Error{kUsage} that lists the names.
PenaltyFunction GetPenalty(const std::string& name);

class SparsePressure {
 public:
  explicit SparsePressure(const PressureOptions& options);

  // Puts FFNs that report to this object in place of the model's dense ones.
  void Install(model::Transformer& model);

  // The penalty of what was computed since the last call, times its weight: a differentiable
  // scalar.
  at::Tensor TakePenalty();
  // The share of each FFN's neurons that fired since the last call, over the tokens that were
  // looked at; what "fires" means is in model/contribution.h.
  std::vector<double> TakeActive();

  // Sets how many neurons fire before any step. The share that should fire falls from there to
  // options.active, geometrically, within options.ramp of all steps.
  void Start(double active) { start_ = active; }
  double Wanted(int64_t step, int64_t num_steps) const;
  // Raises the weight if more neurons fired in a step than should, and lowers it if fewer did.
  void Adapt(double active, int64_t step, int64_t num_steps);
  // Whether so few neurons fire as were asked for, within a tenth.
  bool Reached(double active) const { return active <= 1.1 * options_.active; }

  double weight() const { return weight_; }

  // What a training needs to go on.
  std::vector<double> State() const { return {integral_, weight_, start_}; }
  void Restore(const std::vector<double>& state);

 private:
  friend class PressedFeedForward;
  struct Seen {
    double fired = 0, neurons = 0;
  };
  void See(size_t ffn_idx, const model::FfnWeights& ffn, const at::Tensor& x,
           const at::Tensor& neurons);

  PressureOptions options_;
  PenaltyFunction penalty_;
  double integral_ = 0.05, weight_ = 0.05;
  double start_ = 1;
  at::Tensor sum_;  // of penalties, since the last TakePenalty
  std::vector<Seen> seen_;
};

}  // namespace moefy::train
