// Finds the router of one FFN from recorded inputs, what its selection policies and compensation
// need to know, and where quality is lost: split, router or compensation.
// Source: MoEfication (arXiv 2110.01786), section 3.2; where this departs from the reference code
// is said in docs/decisions/.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moefy/base/progress.h"
#include "record/activation_dump.h"
#include "route/neuron_share.h"
#include "route/output_error.h"
#include "route/router.h"

namespace moefy::route {

struct RouterTrainOptions {
  std::string router = "mlp";   // of RouterKinds()
  std::string target = "mass";  // of Targets()
  int64_t epochs = 30;          // at most
  int64_t patience = 0;         // stop after so many without a better one; 0: never
  int64_t batch_size = 512;
  double learning_rate = 0.01;
  double held_out = 0.1;
  double metric_ratio = 0.2;  // routers are chosen and measured at this share of the experts
  int64_t width = 0;  // of regression (0: 128); the rank of low-rank and sketch (0: hidden / 16)
  std::vector<double> fit_ratios = {0.2};  // that compensation and W_out are fitted for
  std::string compensation = "none";  // of Compensations(); kept only where it improves the output
  bool least_squares = false;         // fit W_out to what runs; kept likewise
  std::vector<double> neuron_shares = {1.0};  // of these the one with the least held-out error
  uint64_t seed = 0;
  int64_t max_tokens = 65536;    // in memory at once; of a larger dump, an epoch is one such part
  at::Device device = at::kCPU;  // what it is computed on, and where the result's tensors are
};

// How well a router chooses, on held-out tokens, at one ratio. Mass and recall are 1 when nothing
// fires.
struct RouterQuality {
  double mass = 0;          // activation mass caught / all of it
  double recall = 0;        // of the firing experts that the oracle chose, those chosen here too
  double output_error = 0;  // route/output_error.h, without compensation
  int64_t tokens = 0;
};

// x [tokens, hidden]. The quality of choosing NumSelected(ratio, num_experts) experts.
RouterQuality MeasureRouter(Router& router, const model::FfnWeights& ffn, int64_t num_experts,
                            const at::Tensor& x, double ratio);

struct TrainedRouter {
  std::unique_ptr<Router> router;
  // Held-out. `oracle` knows the mass, `oracle_output` the length of each expert's output.
  RouterQuality routed, similarity, random, oracle, oracle_output;
  double neuron_oracle_error = 0;  // of neurons chosen one by one
  double final_error = 0;          // routed, with neuron_share, compensation and calibration
  at::Tensor load;                 // [experts] share of the held-out tokens that each one runs for
  int64_t num_shared = 0;          // of these the first so many, which run for all
  int64_t best_epoch = 0;          // by the held-out share of the target; 0 is the untrained start
  int64_t dump_tokens = 0;         // what the dump holds
  int64_t train_tokens = 0;        // what was there to train on; routed.tokens were held out
  double fit_seconds = 0;          // of finding the router
  double seconds = 0;              // of all: targets, router, what stands in, measuring

  at::Tensor thresholds;  // [101] ThresholdTable of the held-out scores
  NeuronThresholds neuron_thresholds;
  double neuron_share = 1;  // of the running experts' neurons that go through W_out
  at::Tensor errors;        // final_error at kCurveRatios
  Substitute substitute;    // what was kept of compensation and calibration

  int64_t DeadExperts() const;  // that no held-out token runs
  // Of the load of the experts that are not shared, over that of equal loads: 1 when all run
  // equally often (or none does), 0 for one alone.
  double LoadEntropy() const;
};

// `ffn` is permuted as its plan says; the router need not find the first num_shared experts.
// Deterministic in options.seed. Held-out tokens are runs of neighbours spread evenly over the
// dump, so that they come from other texts mostly. Error{kInput} when the dump has no token for the
// FFN, another width, or values not finite; Error{kUsage} for a name that there is not.
TrainedRouter TrainRouter(const model::FfnWeights& ffn, int64_t num_experts,
                          const record::ActivationDump& dump, size_t dump_ffn_idx,
                          const RouterTrainOptions& options, int64_t num_shared = 0);

}  // namespace moefy::route
