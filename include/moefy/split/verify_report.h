// What comparing a split checkpoint with its dense source tells.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moefy::split {

struct VerifyReport {
  bool ok = false;
  int64_t num_tensors = 0;            // compared
  int64_t num_permuted = 0;           // of which FFN tensors, equal after the inverse permutation
  std::vector<std::string> problems;  // one line each, empty when ok
};

}  // namespace moefy::split
