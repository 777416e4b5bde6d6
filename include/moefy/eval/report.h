// Tables for people: plain text in columns, the same in a terminal, a log and a file.
#pragma once

#include <string>
#include <vector>

#include "moefy/eval/evaluate.h"

namespace moefy::eval {

// A table whose columns are as wide as their widest cell; the first `num_left` columns are
// left-aligned, the rest right-aligned. UTF-8 cells are measured in code points.
std::string FormatTable(const std::vector<std::string>& header,
                        const std::vector<std::vector<std::string>>& rows, size_t num_left = 1);

Json ReportToJson(const EvaluationReport& report);

// The comparison with dense, one row per model, selection and ratio.
std::string FormatEvaluation(const EvaluationReport& report);

}  // namespace moefy::eval
