// The condition of `--fail-if`, such as "accuracy < 0.98*dense": it tells a CI job that the figures
// of an evaluation are not good enough. The grammar, loosest first:
//
//   condition  = all { "or" all }
//   all        = comparison { "and" comparison }
//   comparison = sum ("<" | "<=" | ">" | ">=") sum
//   sum        = product { ("+" | "-") product }
//   product    = factor { "*" factor }
//   factor     = number | name | "dense" [ "." name ]
//
// A name is a figure of the row: a metric of the task, "metric" for the one it is judged by,
// "ffn_ratio", or a figure of eval/figures.h. "dense.f1" is the dense model's f1, and "dense" alone
// is the dense model's "metric". Shares are between 0 and 1. Every comparison with what is not a
// number (NaN) holds, so that a broken model does not pass. Values, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "eval/figures.h"
#include "moefy/eval/evaluation_report.h"

namespace moefy::eval {

class FailIf {
 public:
  // Throws Error{kUsage} with the position (from 1) of what is wrong, and the nearest name; for a
  // name of the past, with the name of today.
  FailIf(const std::string& condition, const std::vector<std::string>& names);

  // `row` and `dense` have a value for every name.
  bool Holds(const Figures& row, const Figures& dense) const;
  // "accuracy 0.8700, dense 0.9000": the figures that the condition names, for people.
  std::string Describe(const Figures& row, const Figures& dense) const;

  struct Factor {
    double number = 0;
    std::string name = {};  // "": a number
    bool of_dense = false;
  };
  struct Product {
    double sign = 1;
    std::vector<Factor> factors = {};
  };
  using Sum = std::vector<Product>;
  struct Comparison {
    Sum left;
    bool (*holds)(double left, double right) = nullptr;
    Sum right;
  };

 private:
  std::vector<std::vector<Comparison>> any_of_;  // the condition holds if all of one list hold
};

// Puts every row for which the condition holds into report.failures, in words. The dense row is
// judged only if it is the only row.
void ApplyFailIf(const FailIf& fail_if, const std::string& condition, EvaluationReport& report);

}  // namespace moefy::eval
