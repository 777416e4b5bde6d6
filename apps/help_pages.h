// The help of the program and its commands as values: one walk over the options that CLI11 knows,
// of which the Markdown page, the man pages and the shells' completions are made. Pure functions.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace moefy::apps {

struct HelpOption {
  std::vector<std::string> names;  // "--out"; or "-h" and "--help"; empty for an argument
  std::string value;               // "TEXT", "INT", ...; "" for a flag
  std::string help;
  std::string standard;  // the value without the option; "" where there is none to show

  bool TakesNumber() const;  // so that no file stands there
};

// What there is to say of the program, or of one of its commands.
struct HelpPage {
  std::string name;  // of the command; "" for the program itself
  std::string summary;
  std::string examples;               // lines
  std::vector<HelpOption> arguments;  // `value` is the name
  std::vector<HelpOption> options;    // without those that are hidden
  std::string text;                   // what --help prints
};

// What holds for every command, in Markdown.
struct HelpSection {
  const char* title;  // of the man page's section
  const char* text;
};
const std::vector<HelpSection>& GeneralHelp();

// The program's page, then one per command in the order of `app`.
std::vector<HelpPage> HelpPages(const CLI::App& app);

// docs/cli.md.
std::string MarkdownPage(const std::vector<HelpPage>& pages);

// Between a command's summary and its examples in the description that CLI11 prints.
inline constexpr const char* kExamplesTitle = "\n\nExamples:\n";

}  // namespace moefy::apps
