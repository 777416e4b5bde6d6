// Keeps memory from call to call, so that calls allocate nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moefy {

// Gives `buffer` at least `size` elements; it never shrinks.
template <typename T>
void GrowTo(std::vector<T>& buffer, int64_t size) {
  if (static_cast<int64_t>(buffer.size()) < size) buffer.resize(static_cast<std::size_t>(size));
}

}  // namespace moefy
