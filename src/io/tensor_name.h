// Checks what a tensor is called, in every format.
#pragma once

#include <algorithm>
#include <string>

#include "moefy/base/error.h"

namespace moefy::io {

inline void CheckTensorName(const std::string& name) {
  constexpr size_t kMaxNameBytes = 4096;
  if (name.empty()) throw InputError("a tensor has an empty name");
  if (name.size() > kMaxNameBytes) {
    throw InputError("tensor name ", Quoted(name), " has ", name.size(), " bytes; at most ",
                     kMaxNameBytes, " are allowed");
  }
  if (std::any_of(name.begin(), name.end(),
                  [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
    throw InputError("tensor name ", Quoted(name), " holds a control character");
  }
}

}  // namespace moefy::io
