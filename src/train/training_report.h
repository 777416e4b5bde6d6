// What a training tells at its end, and the measurements that it keeps on disk meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace moefy::train {

// One measurement on the examples that are held out.
struct Measurement {
  int64_t step = 0;
  double loss = 0;              // mean training loss since the last measurement; 0 at step 0
  double held_out_loss = 0;     // nats per answer, mean over ffn ratios
  std::vector<double> metrics;  // the task's, per ffn ratio
  // With pressure towards few firing neurons, the share of each FFN that fires.
  std::vector<double> active;
};

double MeanShare(const std::vector<double>& shares);  // over FFNs or ratios
Json MeasurementToJson(const Measurement& point);
Measurement MeasurementFromJson(const Json& json);  // throws Json::exception

struct TrainingReport {
  int64_t num_sequences = 0;
  int64_t num_held_out = 0;
  int64_t num_trained = 0;         // parameters
  int64_t first_step = 0;          // more than 0 when the training went on from a state
  std::vector<double> ffn_ratios;  // the ratios that `metrics` were measured at
  std::string metric;
  std::vector<Measurement> history;  // the first is before any step
  size_t best = 0;                   // index into history; its weights are the result
  double seconds = 0;
};

Json ReportToJson(const TrainingReport& report);

}  // namespace moefy::train
