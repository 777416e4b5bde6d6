#include "moefy/eval/report.h"

#include <algorithm>

#include "moefy/base/strings.h"

namespace moefy::eval {
namespace {

size_t CodePoints(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string Percent(double share, int decimals) { return FormatFixed(100 * share, decimals); }

std::string Signed(double value, int decimals) {
  return (value >= 0 ? "+" : "") + FormatFixed(value, decimals);
}

}  // namespace

std::string FormatTable(const std::vector<std::string>& header,
                        const std::vector<std::vector<std::string>>& rows, size_t num_left) {
  std::vector<size_t> widths;
  for (const std::string& cell : header) widths.push_back(CodePoints(cell));
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], CodePoints(row[i]));
  }
  std::string out;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) line += "  ";
      const std::string padding(widths[i] - CodePoints(cells[i]), ' ');
      line += i < num_left ? cells[i] + padding : padding + cells[i];
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add_line(header);
  std::vector<std::string> rule;
  for (const size_t width : widths) rule.emplace_back(width, '-');
  add_line(rule);
  for (const auto& row : rows) add_line(row);
  return out;
}

std::string FormatEvaluation(const EvaluationReport& report) {
  std::vector<std::vector<std::string>> cells;
  const double dense_seconds = report.rows.front().ffn_seconds;
  for (const EvaluationRow& row : report.rows) {
    const bool dense = row.selection == "dense";
    // The oracle and random selections are bounds, not methods: their time means nothing.
    const bool timed = dense || (row.selection != "oracle" && row.selection != "random");
    cells.push_back({
        dense ? "dense" : row.model + " + " + row.selection,
        dense ? "100 %" : Percent(row.ffn_ratio, 0) + " %",
        Percent(row.accuracy.value, 2) + " ± " + Percent(row.accuracy.standard_error, 2),
        dense ? ""
              : Signed(100 * row.difference.value, 2) + " ± " +
                    Percent(row.difference.standard_error, 2),
        dense ? "" : Percent(row.agreement, 1) + " %",
        dense ? "" : FormatFixed(row.kl.value, 4),
        Percent(row.measured_ffn_ratio, 1) + " %",
        timed ? Percent(row.ffn_flops_ratio, 1) + " %" : "-",
        timed ? FormatDuration(row.ffn_seconds) : "-",
        timed && !dense ? FormatFixed(dense_seconds / row.ffn_seconds, 2) + "x"
        : timed         ? ""
                        : "-",
    });
  }
  std::string out =
      StrCat(report.task, " (", report.data_file, ", ",
             FormatCount(static_cast<uint64_t>(report.num_examples)), " examples; commonest label ",
             Percent(report.majority_share, 1), " %)\n");
  out += FormatTable({"model", "ffn ratio", "accuracy %", "vs dense", "agree", "KL", "neurons run",
                      "FLOPs+router", "FFN time", "FFN speed"},
                     cells);
  return out;
}

}  // namespace moefy::eval
