// Draws SVG as text, with just the shapes that the plots need. Thread-safety: one owner.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace moefy::eval {

class Svg {
 public:
  Svg(double width, double height);  // on white, to stand alone
  // On the ground and with the text colour of the page that it stands in; `label` says what it
  // shows.
  Svg(double width, double height, const std::string& label);
  void Line(double x1, double y1, double x2, double y2, const std::string& color, double width = 1);
  void Rect(double x, double y, double width, double height, const std::string& color);
  void Circle(double x, double y, double radius, const std::string& color);
  void Path(const std::vector<std::pair<double, double>>& points, const std::string& color,
            bool dashed = false);
  // `anchor`: start, middle or end. The text is escaped.
  void Text(double x, double y, const std::string& text, const std::string& anchor = "start",
            double size = 12);
  std::string Finish() &&;  // the document

 private:
  std::string out_;
};

// Text for between the tags, and in the quotes, of HTML and SVG.
std::string EscapedMarkup(const std::string& text);

// A color for line i of `count`, from dark blue over red to yellow.
std::string SvgColor(size_t i, size_t count);

}  // namespace moefy::eval
