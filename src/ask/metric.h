// The metrics of tasks as a table. Each is a ratio of sums over examples or tokens,
// or a score of all examples together. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "ask/prepared_task.h"
#include "task/dataset.h"
#include "task/metrics.h"

namespace moefy::ask {

struct Metric {
  const char* name;  // as in task files
  bool is_share;     // shown in percent
  bool exponential;  // the metric is exp of the ratio
  // What one example adds to the sums: one ratio, or one per token.
  std::vector<task::Ratio> (*units)(const task::Example& example, const Answer& answer);
  bool lower_is_better = false;
  // Of a metric that is no ratio: the whole figure, in place of `units`.
  task::Figure (*of_corpus)(const std::vector<task::Example>& examples,
                            const std::vector<Answer>& answers) = nullptr;
};

// The metric of that name. `kind` tells question answering's exact match from generation's.
const Metric& GetMetric(task::TaskKind kind, const std::string& name);

// The metric over all examples, which have one answer each.
task::Figure Measure(const Metric& metric, const std::vector<task::Example>& examples,
                     const std::vector<Answer>& answers);

}  // namespace moefy::ask
