// The splitters that the property tests run over: all of the table.
#pragma once

#include <string>
#include <vector>

#include "split/splitter.h"

namespace moefy::split {

inline std::vector<std::string> SplitterNames() {
  std::vector<std::string> names;
  for (const Splitter& splitter : Splitters()) names.push_back(splitter.name);
  return names;
}

}  // namespace moefy::split
