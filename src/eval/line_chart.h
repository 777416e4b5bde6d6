// A chart of lines as SVG to stand in a page: it takes the page's colours and says in words what it
// shows. Pure function.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace moefy::eval {

struct ChartLine {
  std::string name;
  std::vector<std::pair<double, double>> points;  // by rising x
  bool dashed = false;
};

struct LineChart {
  std::string title;  // for those who do not see it
  std::string x_title, y_title;
  std::vector<ChartLine> lines;
  std::optional<double> level;  // a level line, such as the dense model's figure
  std::string level_name;
};

// Points that are not finite are left out.
std::string DrawLineChart(const LineChart& chart);

}  // namespace moefy::eval
