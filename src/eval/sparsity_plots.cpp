#include "eval/sparsity_plots.h"

#include <algorithm>
#include <cmath>

#include "eval/svg.h"
#include "moefy/base/strings.h"

namespace moefy::eval {
namespace {

constexpr double kLeft = 150, kTop = 56, kPlot = 560, kRow = 24, kRight = 40;
const char* const kGrid = "#dddddd";
const char* const kInk = "#1e328c";
const std::array<const char*, 3> kNeededColors = {"#f0be28", "#e07840", "#c83250"};

double X(double share) { return kLeft + kPlot * share; }

}  // namespace

std::string PlotActiveShares(const std::vector<FfnSparsity>& study) {
  const double bottom = kTop + kRow * static_cast<double>(study.size());
  Svg svg(kLeft + kPlot + kRight, bottom + 60);
  svg.Text(kLeft, 22,
           "Neurons active per token: 5 to 95 % of tokens (line), middle half (box), median",
           "start", 13);
  double legend = kLeft;
  for (size_t i = 0; i < kStudyShares.size(); ++i) {
    svg.Circle(legend + 4, 38, 4, kNeededColors[i]);
    svg.Text(legend + 14, 42,
             StrCat("for ", FormatFixed(100 * kStudyShares[i], 0), " % of contributions"), "start",
             11);
    legend += 185;
  }
  for (int percent = 0; percent <= 100; percent += 20) {
    svg.Line(X(percent / 100.0), kTop, X(percent / 100.0), bottom, kGrid);
    svg.Text(X(percent / 100.0), bottom + 18, StrCat(percent, " %"), "middle", 11);
  }
  svg.Text(kLeft + kPlot / 2, bottom + 42, "share of the FFN's neurons", "middle");
  for (size_t i = 0; i < study.size(); ++i) {
    const FfnSparsity& ffn = study[i];
    const auto& at = ffn.active_percentiles;
    const double y = kTop + kRow * (static_cast<double>(i) + 0.5);
    svg.Text(kLeft - 10, y + 4, ffn.ffn, "end");
    if (ffn.tokens == 0) continue;
    svg.Line(X(at[0]), y, X(at[4]), y, kInk, 1.5);
    svg.Rect(X(at[1]), y - 5, std::max(1.0, X(at[3]) - X(at[1])), 10, "#9db0e8");
    svg.Line(X(at[2]), y - 7, X(at[2]), y + 7, kInk, 2.5);
    for (size_t s = 0; s < kStudyShares.size(); ++s) {
      svg.Circle(X(ffn.needed[s]), y, 3, kNeededColors[s]);
    }
  }
  return std::move(svg).Finish();
}

std::string PlotFiringRates(const std::vector<FfnSparsity>& study) {
  constexpr double kHeight = 320;
  constexpr size_t kPoints = 200;
  const double legend_height = 18 * static_cast<double>(study.size());
  Svg svg(kLeft + kPlot + 160, kTop + std::max(kHeight, legend_height) + 60);
  const auto y = [](double rate) { return kTop + kHeight * (1 - rate); };
  svg.Text(kLeft, 28, "How often each neuron fires, most frequent first", "start", 13);
  for (int percent = 0; percent <= 100; percent += 20) {
    const double share = percent / 100.0;
    svg.Line(X(0), y(share), X(1), y(share), kGrid);
    svg.Line(X(share), y(0), X(share), y(1), kGrid);
    svg.Text(X(0) - 8, y(share) + 4, StrCat(percent, " % of tokens"), "end", 11);
    svg.Text(X(share), y(0) + 18, StrCat(percent, " %"), "middle", 11);
  }
  svg.Text(kLeft + kPlot / 2, y(0) + 42, "share of the FFN's neurons", "middle");
  for (size_t i = 0; i < study.size(); ++i) {
    const std::vector<double>& rates = study[i].rates;
    const std::string color = SvgColor(i, study.size());
    const double legend = kTop + 18 * (static_cast<double>(i) + 0.5);
    svg.Line(X(1) + 16, legend, X(1) + 36, legend, color, 3);
    svg.Text(X(1) + 42, legend + 4, study[i].ffn, "start", 11);
    std::vector<std::pair<double, double>> points;
    for (size_t p = 0; p < kPoints && !rates.empty(); ++p) {
      const double share = static_cast<double>(p) / (kPoints - 1);
      const double neuron = share * static_cast<double>(rates.size() - 1);
      points.emplace_back(X(share), y(rates[static_cast<size_t>(std::lround(neuron))]));
    }
    svg.Path(points, color);
  }
  return std::move(svg).Finish();
}

}  // namespace moefy::eval
