#include "eval/line_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "eval/svg.h"
#include "moefy/base/strings.h"

namespace moefy::eval {
namespace {

constexpr double kChartWidth = 640, kChartHeight = 320;  // the legend comes below
constexpr double kChartLeft = 70, kChartRight = 620, kChartTop = 34, kChartBottom = 260;
// Readable on white and on black.
constexpr std::array<const char*, 6> kChartColors = {"#3b7dd8", "#d9622b", "#2f9e6e",
                                                     "#b0539e", "#a08a1f", "#6f7c8a"};

struct ChartAxis {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  double step = 1;

  void Take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // Widens the axis to whole steps of 1, 2 or 5 times a power of ten, about five of them.
  void Round() {
    if (!(low <= high)) low = high = 0;
    if (low == high) high = low + std::max(1e-3, std::abs(low) * 0.01);
    const double raw = (high - low) / 5;
    const double power = std::pow(10, std::floor(std::log10(raw)));
    step = power * (raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10);
    low = std::floor(low / step + 1e-9) * step;
    high = std::ceil(high / step - 1e-9) * step;
  }
  int64_t steps() const { return std::llround((high - low) / step); }
  std::string Label(int64_t i) const {
    const int decimals = step >= 1 ? 0 : static_cast<int>(std::ceil(-std::log10(step) - 1e-9));
    return FormatFixed(low + static_cast<double>(i) * step, decimals);
  }
  double Place(double value, double from, double to) const {
    return from + (value - low) / (high - low) * (to - from);
  }
};

void DrawChartAxes(const ChartAxis& x, const ChartAxis& y, const LineChart& chart, Svg& svg) {
  for (int64_t i = 0; i <= y.steps(); ++i) {
    const double at = y.Place(y.low + static_cast<double>(i) * y.step, kChartBottom, kChartTop);
    svg.Line(kChartLeft, at, kChartRight, at, "#8886");
    svg.Text(kChartLeft - 6, at + 4, y.Label(i), "end");
  }
  for (int64_t i = 0; i <= x.steps(); ++i) {
    const double at = x.Place(x.low + static_cast<double>(i) * x.step, kChartLeft, kChartRight);
    svg.Text(at, kChartBottom + 16, x.Label(i), "middle");
  }
  svg.Line(kChartLeft, kChartBottom, kChartRight, kChartBottom, "#888");
  svg.Text((kChartLeft + kChartRight) / 2, kChartBottom + 34, chart.x_title, "middle");
  svg.Text(4, 14, chart.y_title);
}

}  // namespace

std::string DrawLineChart(const LineChart& chart) {
  ChartAxis x, y;
  std::vector<ChartLine> lines = chart.lines;
  for (ChartLine& line : lines) {
    std::erase_if(line.points, [](const auto& point) {
      return !std::isfinite(point.first) || !std::isfinite(point.second);
    });
    for (const auto& [at, value] : line.points) {
      x.Take(at);
      y.Take(value);
    }
  }
  const bool has_level = chart.level && std::isfinite(*chart.level);
  if (has_level) y.Take(*chart.level);
  x.Round();
  y.Round();
  const double legend = 18 * static_cast<double>(lines.size() + (has_level ? 1 : 0));
  Svg svg(kChartWidth, kChartHeight + legend, chart.title);
  DrawChartAxes(x, y, chart, svg);
  double at = kChartBottom + 56;
  const auto entry = [&](const std::string& name, const std::string& color, bool dashed) {
    svg.Path({{kChartLeft, at - 4}, {kChartLeft + 28, at - 4}}, color, dashed);
    svg.Text(kChartLeft + 36, at, name);
    at += 18;
  };
  if (has_level) {
    const double level = y.Place(*chart.level, kChartBottom, kChartTop);
    svg.Path({{kChartLeft, level}, {kChartRight, level}}, "currentColor", /*dashed=*/false);
    entry(chart.level_name, "currentColor", false);
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string color = kChartColors[i % kChartColors.size()];
    std::vector<std::pair<double, double>> placed;
    for (const auto& [px, py] : lines[i].points) {
      placed.emplace_back(x.Place(px, kChartLeft, kChartRight),
                          y.Place(py, kChartBottom, kChartTop));
      svg.Circle(placed.back().first, placed.back().second, 3, color);
    }
    svg.Path(placed, color, lines[i].dashed);
    entry(lines[i].name, color, lines[i].dashed);
  }
  return std::move(svg).Finish();
}

}  // namespace moefy::eval
