// How --help lays out options and commands: what they do in lines that fit a page of 100 columns,
// and of each command in the list of all its first sentence.
#pragma once

#include <CLI/CLI.hpp>
#include <sstream>
#include <string>

#include "help_pages.h"

namespace moefy::apps {

class HelpLayout final : public CLI::Formatter {
 public:
  std::string make_option_desc(const CLI::Option* option) const override {
    return Wrapped(option->get_description());
  }
  std::string make_subcommand(const CLI::App* command) const override {
    const std::string description = command->get_description();
    std::ostringstream out;
    CLI::detail::format_help(out, command->get_name(),
                             Wrapped(description.substr(0, description.find(kExamplesTitle))),
                             get_column_width());
    return out.str();
  }

 private:
  // In lines for the second column. Words that are too long stay whole.
  std::string Wrapped(const std::string& text) const {
    constexpr size_t kPage = 100;
    const size_t width = kPage - get_column_width();
    std::istringstream words(text);
    std::string out, word;
    size_t column = 0;
    while (words >> word) {
      if (column > 0 && column + 1 + word.size() > width) {
        out += '\n';
        column = 0;
      } else if (column > 0) {
        out += ' ';
        ++column;
      }
      out += word;
      column += word.size();
    }
    return out;
  }
};

}  // namespace moefy::apps
