// Writes an evaluation as a table for people and as JSON for programs. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/eval/evaluation_report.h"

namespace moefy::eval {

Json ReportToJson(const EvaluationReport& report);

// A table that compares with dense, one row per model, selection and ratio.
std::string FormatEvaluation(const EvaluationReport& report);

}  // namespace moefy::eval
