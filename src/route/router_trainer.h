// Finds the router of one FFN from recorded inputs, what its selection policies and substitutes
// need to know, and where quality is lost: split, router or substitute.
// Source: MoEfication (arXiv 2110.01786), section 3.2; docs/decisions/ says where this departs from
// the reference code.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moefy/route/router_report.h"
#include "record/activation_dump.h"
#include "route/neuron_share.h"
#include "route/router.h"
#include "route/substitute.h"

namespace moefy::route {

struct RouterTrainOptions {
  std::string router = "mlp";   // of RouterKinds()
  std::string target = "mass";  // of Targets()
  int64_t epochs = 30;          // at most
  int64_t patience = 0;         // stop after so many epochs without a better one; 0: never
  int64_t batch_size = 512;
  double learning_rate = 0.01;
  double held_out = 0.1;
  double metric_ratio = 0.2;  // routers are chosen and measured at this share of the experts
  int64_t width = 0;  // of regression (0: 128); the rank of low-rank and sketch (0: hidden / 16)
  std::string product = kEitherProduct;    // of first-product: this or kGateAlone
  std::vector<double> fit_ratios = {0.2};  // ratios that compensation and W_out are fitted for
  std::string compensation = "none";  // of Compensations(); kept only where it improves the output
  bool output_fit = false;            // fit W_out to the experts that run; kept likewise
  std::vector<double> neuron_shares = {1.0};  // the one with the least held-out error is kept
  uint64_t seed = 0;
  int64_t max_tokens = 65536;    // in memory at once; of a larger dump, an epoch is one such part
  at::Device device = at::kCPU;  // what it is computed on, and where the result's tensors are
};

struct TrainedRouter {
  std::unique_ptr<Router> router;
  RouterReport report;
  at::Tensor thresholds;               // [101] ThresholdTable of the held-out scores
  at::Tensor shares_of_best;           // [101] ThresholdTable of their SharesOfBest
  NeuronThresholds neuron_thresholds;  // of the held-out tokens
  at::Tensor errors;                   // the report's final_error, but at each of kCurveRatios
  Substitute substitute;               // what was kept of it
};

// Trains the router of the FFN `ffn`, permuted as its plan says, on the inputs of the dump's FFN
// dump_ffn_idx. The router need not find the first num_shared experts. Deterministic in
// options.seed. Held-out tokens are runs of neighbours spread evenly over the dump, so that they
// mostly come from other texts. Throws Error{kInput} when the dump has no token for the FFN,
// another width, or values that are not finite; Error{kUsage} for an unknown name.
TrainedRouter TrainRouter(const model::FfnWeights& ffn, int64_t num_experts,
                          const record::ActivationDump& dump, size_t dump_ffn_idx,
                          const RouterTrainOptions& options, int64_t num_shared = 0);

}  // namespace moefy::route
