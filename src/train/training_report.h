// What a training tells at its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace moefy::train {

// One measurement on what was held out.
struct Measurement {
  int64_t step = 0;
  double loss = 0;              // of training, mean since the last one; 0 at step 0
  double held_out_loss = 0;     // nats per answer, mean over ffn ratios
  std::vector<double> metrics;  // the task's, per ffn ratio
};

struct TrainingReport {
  int64_t num_sequences = 0;
  int64_t num_held_out = 0;
  int64_t num_trained = 0;  // parameters
  int64_t first_step = 0;   // more than 0: went on from a state
  std::string metric;
  std::vector<Measurement> history;  // first: before any step
  size_t best = 0;                   // into history; its weights are the result
  double seconds = 0;
};

}  // namespace moefy::train
