#include "man_page.h"

#include <regex>

#include "moefy/base/strings.h"
#include "moefy/base/version.h"

namespace moefy::apps {
namespace {

// Text that roff prints as it is: hyphens that can be copied, no line that is a request, and long
// patterns like A[:B][:C] that may be broken before a bracket.
std::string Roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool starts_line = out.empty() || out.back() == '\n';
    if (starts_line && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '[' && !starts_line && out.back() != ' ') {
      out += "\\:[";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Bold(const std::string& text) { return "\\fB" + Roff(text) + "\\fR"; }
std::string Italic(const std::string& text) { return "\\fI" + Roff(text) + "\\fR"; }

// Markdown's code becomes bold, and of its links only the text is left.
std::string RoffOfMarkdown(const std::string& text) {
  const std::string unlinked =
      std::regex_replace(text, std::regex(R"(\[([^\]]*)\]\([^)]*\))"), "$1");
  return std::regex_replace(Roff(unlinked), std::regex("`([^`]*)`"), "\\fB$1\\fR");
}

std::string LineBlock(const std::string& text) { return StrCat(".nf\n", Roff(text), "\n.fi\n"); }

std::string OptionList(const std::vector<HelpOption>& options) {
  std::string out;
  for (const HelpOption& option : options) {
    std::vector<std::string> names;
    for (const std::string& name : option.names) names.push_back(Bold(name));
    out += ".TP\n" + Join(names);
    if (!option.value.empty()) out += (names.empty() ? "" : " ") + Italic(option.value);
    out += "\n" + Roff(option.help);
    const bool says_it = option.help.find("(default") != std::string::npos;
    if (!option.standard.empty() && !says_it)
      out += Roff(StrCat(" (default: ", option.standard, ")"));
    out += "\n";
  }
  return out;
}

// "moefy split [options] [checkpoint]"
std::string Synopsis(const HelpPage& page) {
  if (page.name.empty())
    return Bold("moefy") + " " + Italic("command") + " [" + Italic("options") + "]\n";
  std::string out = Bold("moefy " + page.name) + " [" + Italic("options") + "]";
  for (const HelpOption& argument : page.arguments) out += " [" + Italic(argument.value) + "]";
  return out + "\n";
}

std::string CommandList(const std::vector<HelpPage>& all) {
  std::string out;
  for (const HelpPage& page : all) {
    if (!page.name.empty()) out += StrCat(".TP\n", Bold(page.name), "\n", Roff(page.summary), "\n");
  }
  return out;
}

std::string SeeAlso(const HelpPage& page, const std::vector<HelpPage>& all) {
  std::vector<std::string> others;
  for (const HelpPage& other : all) {
    // A command's page refers to the program's, which has all the others.
    if (other.name == page.name || (!page.name.empty() && !other.name.empty())) continue;
    others.push_back(Bold(ManName(other)) + "(1)");
  }
  return Join(others, ",\n") + "\n";
}

}  // namespace

std::string ManName(const HelpPage& page) {
  return page.name.empty() ? "moefy" : "moefy-" + page.name;
}

std::string ManPage(const HelpPage& page, const std::vector<HelpPage>& all) {
  const std::string name = ManName(page);
  // Without a date, so that the same program gives the same page.
  std::string out = StrCat(".\\\" Made by `moefy --help-files`.\n.TH ", name, " 1 \"\" \"moefy ",
                           kVersion, "\" \"moefy\"\n.ad l\n");
  const auto section = [&](const std::string& title, const std::string& text) {
    if (!text.empty()) out += StrCat(".SH ", title, "\n", text);
  };
  // The first sentence alone, without its full stop: what `apropos` shows.
  const std::string one_line =
      ReplaceAll(page.summary.substr(0, page.summary.rfind('.')), "\n", " ");
  section("NAME", StrCat(Roff(name), " \\- ", Roff(one_line), "\n"));
  section("SYNOPSIS", Synopsis(page));
  section("DESCRIPTION", Roff(page.summary) + "\n");
  if (page.name.empty()) section("COMMANDS", CommandList(all));
  section("ARGUMENTS", OptionList(page.arguments));
  section("OPTIONS", OptionList(page.options));
  if (page.name.empty()) {
    for (const HelpSection& general : GeneralHelp()) {
      section(general.title, RoffOfMarkdown(general.text) + "\n");
    }
  }
  if (!page.examples.empty()) section("EXAMPLES", LineBlock(page.examples));
  section("SEE ALSO", SeeAlso(page, all));
  return out;
}

}  // namespace moefy::apps
