// Finds the tensors of a checkpoint in what a pickle holds. Pure function.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "io/pickle.h"

namespace moefy::io {

struct StateDict {
  std::map<std::string, pickle::NodeId> tensors;  // name to a pickle::Tensor
  std::vector<std::string> warnings;              // what was left out
};

// Throws Error{kInput} when there is no dict of tensors by name, naming what there is.
StateDict FindStateDict(const pickle::Pickle& pickle);

}  // namespace moefy::io
