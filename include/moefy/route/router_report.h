// What training the router of one FFN tells: how well it chooses, on held-out tokens, beside
// bounds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moefy::route {

// How well a router chooses at one ffn ratio. Mass and recall are 1 when nothing fires.
struct RouterQuality {
  double mass = 0;    // activation mass caught / all of it
  double recall = 0;  // of the firing experts that the oracle chose, the share chosen here too
  double output_error = 0;  // relative squared error of the output, without a substitute
};

struct RouterReport {
  std::string ffn;
  // `oracle` knows the mass, `oracle_output` the length of each expert's output.
  RouterQuality routed, similarity, random, oracle, oracle_output;
  double neuron_oracle_error = 0;  // output error of neurons chosen one by one
  double final_error = 0;    // output error as routed, with the neuron share and all substitutes
  double neuron_share = 1;   // share of the running experts' neurons that goes through W_out
  int64_t dump_tokens = 0;   // tokens that the dump holds
  int64_t train_tokens = 0;  // tokens to learn from; of a large dump only some are used at once
  int64_t held_out_tokens = 0;
  int64_t best_epoch = 0;  // by the held-out share of the target; 0 is the untrained start
  // What was kept of compensation, output fit and correction.
  bool compensated = false, output_fit = false, corrected = false;
  std::vector<double> load;  // per expert, the share of the held-out tokens that run it
  int64_t dead_experts = 0;  // experts that no held-out token runs
  // The entropy of the load of the experts that are not shared, over that of equal loads: 1 when
  // all run equally often (or none does), 0 for one alone.
  double load_entropy = 1;
  double fit_seconds = 0;  // for finding the router
  double seconds = 0;      // for everything: targets, router, substitutes, measuring
};

}  // namespace moefy::route
