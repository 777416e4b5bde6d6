// An evaluation as a table for people and as JSON for programs. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "eval/evaluate.h"

namespace moefy::eval {

Json ReportToJson(const EvaluationReport& report);

// The comparison with dense, one row per model, selection and ratio.
std::string FormatEvaluation(const EvaluationReport& report);

}  // namespace moefy::eval
