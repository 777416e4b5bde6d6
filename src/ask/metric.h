// The figures of a task by name, each as a sum over examples or tokens. Pure functions.
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
  bool exponential;  // the figure is exp of the ratio
  // What one example adds: one ratio, or one per token.
  std::vector<task::Ratio> (*units)(const task::Example& example, const Answer& answer);
  bool lower_is_better = false;
};

// `kind` tells question answering's exact match from generation's.
const Metric& GetMetric(task::TaskKind kind, const std::string& name);

// Over all examples; one answer each.
task::Figure Measure(const Metric& metric, const std::vector<task::Example>& examples,
                     const std::vector<Answer>& answers);

}  // namespace moefy::ask
