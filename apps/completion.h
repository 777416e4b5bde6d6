// What shells need to complete moefy's commands and options. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "help_pages.h"

namespace moefy::apps {

struct Shell {
  const char* name;
  const char* file;  // where the shell looks for it, below a prefix's share/
  std::string (*completion)(const std::vector<HelpPage>& pages);
};

const std::vector<Shell>& Shells();

// Throws Error{kUsage} for another name than those of Shells().
const Shell& GetShell(const std::string& name);

}  // namespace moefy::apps
