// A page of HTML that needs nothing but itself: no network, no script. It reads on a phone, in dark
// mode, in print, and by keyboard and screen reader. Thread-safety: one owner.
#pragma once

#include <string>
#include <vector>

namespace moefy::eval {

class HtmlPage {
 public:
  explicit HtmlPage(const std::string& title);  // the page's only h1
  // All text is escaped.
  void Heading(const std::string& text);  // h2
  void Paragraph(const std::string& text);
  void List(const std::vector<std::string>& items);
  void Code(const std::string& text);
  // The first column names the rows; a table that is too wide scrolls by itself.
  void Table(const std::string& caption, const std::vector<std::string>& header,
             const std::vector<std::vector<std::string>>& rows);
  void Picture(const std::string& svg, const std::string& caption);  // the SVG is put in as it is
  std::string Finish() &&;

 private:
  std::string out_;
};

}  // namespace moefy::eval
