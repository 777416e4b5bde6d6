// A condition on the figures of an evaluation, such as "accuracy < 0.98*dense", that tells a
// CI job to fail. The grammar, loosest first:
//
//   or         = and { "or" and }
//   and        = comparison { "and" comparison }
//   comparison = sum ("<" | "<=" | ">" | ">=" | "==" | "!=") sum | "(" or ")"
//   sum        = product { ("+" | "-") product }
//   product    = factor { ("*" | "/") factor }
//   factor     = number | name | "dense" [ "." name ] | "-" factor | "(" sum ")"
//
// A name is a figure of the row: a metric of the task, "metric" for the one it is judged by,
// "agreement", "kl" (of kinds that have it), "ffn_ratio", "measured_ffn_ratio", "ffn_flops_ratio",
// "seconds", "ffn_seconds". "dense.f1" is the dense model's; "dense" alone its "metric". Shares are
// between 0 and 1. Every comparison with what is not a number (NaN) holds, so that a broken model
// does not pass. Values, thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "task/task_spec.h"

namespace moefy::eval {

using Figures = std::map<std::string, double>;

// The names that rows of a task have.
std::vector<std::string> FigureNames(const task::TaskSpec& spec);
// What they stand for in one row.
Figures FiguresOf(const EvaluationRow& row);

class Gate {
 public:
  // Throws Error{kUsage} with the position (from 1) of what is wrong, and the nearest name.
  Gate(const std::string& condition, const std::vector<std::string>& names);

  // `row` and `dense` have a value for every name.
  bool Holds(const Figures& row, const Figures& dense) const;
  // "accuracy 0.8700, dense 0.9000": what the condition names, for people.
  std::string Describe(const Figures& row, const Figures& dense) const;

  struct Node;

 private:
  std::shared_ptr<const Node> root_;
};

// Puts every row for which the condition holds into report.failures, in words; dense itself is
// looked at only where there is no other row.
void ApplyGate(const Gate& gate, const std::string& condition, EvaluationReport& report);

}  // namespace moefy::eval
