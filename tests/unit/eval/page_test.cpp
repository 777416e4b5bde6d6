#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "eval/html.h"
#include "eval/line_chart.h"

namespace moefy::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(HtmlPage, EscapesEveryText) {
  const std::string bad = "<script>\" & ";
  HtmlPage page(bad);
  page.Heading(bad);
  page.Paragraph(bad);
  page.List({bad});
  page.Code(bad);
  page.Table(bad, {bad, bad}, {{bad, bad}});
  page.Picture("<svg></svg>", bad);
  const std::string html = std::move(page).Finish();
  EXPECT_THAT(html, Not(HasSubstr("<script>")));
  EXPECT_THAT(html, Not(HasSubstr("\" & ")));
  EXPECT_THAT(html, HasSubstr("aria-label=\"&lt;script&gt;&quot; &amp; \""));
  EXPECT_THAT(html, HasSubstr("<svg></svg>"));
}

TEST(HtmlPage, NamesRowsAndColumnsOfTables) {
  HtmlPage page("title");
  page.Table("all", {"name", "value"}, {{"a", "1"}});
  const std::string html = std::move(page).Finish();
  EXPECT_THAT(html, HasSubstr("<th scope=\"col\">value</th>"));
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\">a</th><td>1</td>"));
}

TEST(LineChart, PutsPointsBetweenRoundSteps) {
  LineChart chart{"what it shows", "x", "y", {{"line", {{10, 80}, {50, 90}}, true}}, 92.0, "dense"};
  const std::string svg = DrawLineChart(chart);
  EXPECT_THAT(svg, HasSubstr("aria-label=\"what it shows\""));
  for (const char* text : {">10<", ">50<", ">80<", ">95<", ">line<", ">dense<"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
  EXPECT_THAT(svg, HasSubstr("stroke-dasharray")) << "of the dashed line";
  // The first point is at the left and at the bottom: 80 is the lowest step.
  EXPECT_THAT(svg, HasSubstr("<circle cx=\"70.0\" cy=\"260.0\""));
}

TEST(LineChart, DrawsWhateverItGets) {
  for (const LineChart& chart :
       {LineChart{}, LineChart{"t", "x", "y", {{"one", {{1, 1}}, false}}, {}, ""},
        LineChart{"t", "x", "y", {{"none", {{NAN, 1}, {1, INFINITY}}, false}}, NAN, "d"},
        LineChart{"t", "x", "y", {{"flat", {{0, 0}, {1, 0}}, false}}, 0.0, "d"}}) {
    const std::string svg = DrawLineChart(chart);
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr("inf")));
  }
}

}  // namespace
}  // namespace moefy::eval
