// The figures that every row of an evaluation has beside its task's metrics: one table, which the
// JSON, the table for people and `--fail-if` read. A figure has one name everywhere. Values,
// thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "moefy/eval/evaluation_report.h"
#include "task/task_spec.h"

namespace moefy::eval {

enum class FigureUnit {
  kShare,  // shown in percent
  kNats,   // an estimate over answers; one without answers is left out
  kSeconds,
  kCount,  // a whole number
};

struct Figure {
  const char* name;  // in JSON and in --fail-if
  FigureUnit unit;
  task::Estimate (*read)(const EvaluationRow& row);
  // The column of the table for people; nullptr: the table leaves the figure out.
  const char* heading = nullptr;
  bool compares = false;      // with dense, whose own row then shows nothing
  bool is_of_method = false;  // means nothing for bounds, such as oracles, whose rows then show "-"
};

// In the order of JSON and of the table's columns.
const std::vector<Figure>& RowFigures();
// The figure's cell in the table: "81.3 %", "0.0123", "1.2 s".
std::string ShowFigure(const Figure& figure, const EvaluationRow& row);

// All figures of a row by name: its metrics, "metric" for the first of them, "ffn_ratio", and those
// of RowFigures().
using Figures = std::map<std::string, double>;
Figures FiguresOf(const EvaluationRow& row);
// The names that FiguresOf gives for rows of this task, but those that mean nothing for it.
std::vector<std::string> FigureNames(const task::TaskSpec& spec);

// A name that `--fail-if` knew before JSON and it agreed; nullptr if `name` is none of them.
const char* NewNameOf(const std::string& name);

}  // namespace moefy::eval
