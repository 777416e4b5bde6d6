#include "eval/svg.h"

#include <array>

#include "moefy/base/strings.h"

namespace moefy::eval {
namespace {

std::string N(double value) { return FormatFixed(value, 1); }

std::string OpenTag(double width, double height, const std::string& more) {
  return StrCat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", N(width), "\" height=\"",
                N(height), "\" viewBox=\"0 0 ", N(width), " ", N(height),
                "\" font-family=\"sans-serif\"", more, ">\n");
}

}  // namespace

std::string EscapedMarkup(const std::string& text) {
  std::string out = ReplaceAll(ReplaceAll(text, "&", "&amp;"), "<", "&lt;");
  return ReplaceAll(ReplaceAll(out, ">", "&gt;"), "\"", "&quot;");
}

Svg::Svg(double width, double height) : out_(OpenTag(width, height, "")) {
  Rect(0, 0, width, height, "white");
}

Svg::Svg(double width, double height, const std::string& label)
    : out_(OpenTag(width, height,
                   StrCat(" role=\"img\" aria-label=\"", EscapedMarkup(label),
                          "\" fill=\"currentColor\" style=\"max-width:100%;height:auto\""))) {}

void Svg::Line(double x1, double y1, double x2, double y2, const std::string& color, double width) {
  out_ += StrCat("<line x1=\"", N(x1), "\" y1=\"", N(y1), "\" x2=\"", N(x2), "\" y2=\"", N(y2),
                 "\" stroke=\"", color, "\" stroke-width=\"", N(width), "\"/>\n");
}

void Svg::Rect(double x, double y, double width, double height, const std::string& color) {
  out_ += StrCat("<rect x=\"", N(x), "\" y=\"", N(y), "\" width=\"", N(width), "\" height=\"",
                 N(height), "\" fill=\"", color, "\"/>\n");
}

void Svg::Circle(double x, double y, double radius, const std::string& color) {
  out_ += StrCat("<circle cx=\"", N(x), "\" cy=\"", N(y), "\" r=\"", N(radius), "\" fill=\"", color,
                 "\"/>\n");
}

void Svg::Path(const std::vector<std::pair<double, double>>& points, const std::string& color,
               bool dashed) {
  out_ += "<polyline points=\"";
  for (const auto& [x, y] : points) out_ += StrCat(N(x), ",", N(y), " ");
  out_ += StrCat("\" fill=\"none\" stroke=\"", color, "\" stroke-width=\"1.5\"",
                 dashed ? " stroke-dasharray=\"6 4\"" : "", "/>\n");
}

void Svg::Text(double x, double y, const std::string& text, const std::string& anchor,
               double size) {
  out_ += StrCat("<text x=\"", N(x), "\" y=\"", N(y), "\" text-anchor=\"", anchor,
                 "\" font-size=\"", N(size), "\">", EscapedMarkup(text), "</text>\n");
}

std::string Svg::Finish() && { return std::move(out_) + "</svg>\n"; }

std::string SvgColor(size_t i, size_t count) {
  constexpr std::array<std::array<double, 3>, 3> kStops = {
      {{30, 50, 140}, {200, 50, 80}, {240, 190, 40}}};
  const double at = count < 2 ? 0 : 2.0 * static_cast<double>(i) / static_cast<double>(count - 1);
  const size_t stop = at < 1 ? 0 : 1;
  std::vector<std::string> channels;
  for (size_t c = 0; c < 3; ++c) {
    const double from = kStops[stop][c], to = kStops[stop + 1][c];
    channels.push_back(FormatFixed(from + (to - from) * (at - static_cast<double>(stop)), 0));
  }
  return "rgb(" + Join(channels, ",") + ")";
}

}  // namespace moefy::eval
