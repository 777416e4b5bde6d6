// Manual pages, in roff's man macros (man 7 groff_man). Pure functions.
#pragma once

#include <string>
#include <vector>

#include "help_pages.h"

namespace moefy::apps {

// "moefy" for the program's own page, "moefy-split" for the page of a command.
std::string ManName(const HelpPage& page);

// The page moefy.1, or one like moefy-split.1; `all` are the pages that it refers to.
std::string ManPage(const HelpPage& page, const std::vector<HelpPage>& all);

}  // namespace moefy::apps
