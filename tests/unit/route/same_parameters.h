#pragma once

#include <ATen/ATen.h>

#include <algorithm>

#include "route/router.h"

namespace moefy::tests {

inline bool SameParameters(const route::Router& a, const route::Router& b) {
  const auto left = a.Parameters(), right = b.Parameters();
  return std::ranges::equal(left, right, [](const auto& l, const auto& r) { return l.equal(r); });
}

}  // namespace moefy::tests
