#include "eval/html.h"

#include "base/own_output.h"
#include "eval/svg.h"
#include "moefy/base/strings.h"

namespace moefy::eval {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { padding: .2rem .7rem; text-align: right; white-space: nowrap; }
th, td { border-bottom: 1px solid #8886; }
th:first-child, td:first-child { text-align: left; padding-left: 0; font-weight: normal; }
thead th { border-bottom: 2px solid #888a; }
.wide { overflow-x: auto; margin: 1rem 0; }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
pre { padding: .7rem; border: 1px solid #8886; border-radius: .3rem; }
@media print {
  body { max-width: none; margin: 0; } .wide { overflow: visible; } h2 { break-after: avoid; }
}
)";

std::string Cell(const char* tag, const char* scope, const std::string& text) {
  return StrCat("<", tag, scope, ">", EscapedMarkup(text), "</", tag, ">");
}

}  // namespace

HtmlPage::HtmlPage(const std::string& title)
    : out_(StrCat("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
                  "<title>", EscapedMarkup(title), "</title>\n<style>", kStyle,
                  "</style>\n</head>\n<body>\n<main>\n<h1>", EscapedMarkup(title), "</h1>\n")) {}

void HtmlPage::Heading(const std::string& text) { out_ += Cell("h2", "", text) + "\n"; }

void HtmlPage::Paragraph(const std::string& text) { out_ += Cell("p", "", text) + "\n"; }

void HtmlPage::List(const std::vector<std::string>& items) {
  out_ += "<ul>\n";
  for (const std::string& item : items) out_ += Cell("li", "", item) + "\n";
  out_ += "</ul>\n";
}

void HtmlPage::Code(const std::string& text) {
  out_ += StrCat("<pre>", EscapedMarkup(text), "</pre>\n");
}

void HtmlPage::Table(const std::string& caption, const std::vector<std::string>& header,
                     const std::vector<std::vector<std::string>>& rows) {
  out_ += StrCat("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"",
                 EscapedMarkup(caption), "\">\n<table>\n", Cell("caption", "", caption),
                 "\n<thead><tr>");
  for (const std::string& name : header) out_ += Cell("th", " scope=\"col\"", name);
  out_ += "</tr></thead>\n<tbody>\n";
  for (const std::vector<std::string>& row : rows) {
    out_ += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      out_ += i == 0 ? Cell("th", " scope=\"row\"", row[i]) : Cell("td", "", row[i]);
    }
    out_ += "</tr>\n";
  }
  out_ += "</tbody>\n</table>\n</div>\n";
}

void HtmlPage::Picture(const std::string& svg, const std::string& caption) {
  out_ += StrCat("<figure>\n", svg, Cell("figcaption", "", caption), "\n</figure>\n");
}

std::string HtmlPage::Finish() && {
  return StrCat(std::move(out_), "</main>\n</body>\n</html>\n", kOwnPageEnd);
}

}  // namespace moefy::eval
