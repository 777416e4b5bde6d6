// A byte trie over the pieces of a vocabulary. Thread-safety: immutable once built.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace moefy::text {

class PieceTrie {
 public:
  PieceTrie() = default;
  // `pieces` are distinct, non-empty texts with their ids.
  explicit PieceTrie(std::vector<std::pair<std::string_view, int32_t>> pieces);

  // Calls visit(length, id) for every piece that `text` begins with, shortest first.
  template <typename Visit>
  void ForEachPrefix(std::string_view text, Visit&& visit) const {
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = FindChild(node, static_cast<unsigned char>(text[i]));
      if (node == 0) return;
      if (nodes_[node].id >= 0) visit(i + 1, nodes_[node].id);
    }
  }

 private:
  struct Node {
    uint32_t first_child = 0;  // children are contiguous, sorted by label
    uint16_t num_children = 0;
    uint8_t label = 0;
    int32_t id = -1;  // -1: no piece ends here
  };

  uint32_t FindChild(uint32_t node, unsigned char label) const;  // 0: none

  std::vector<Node> nodes_ = std::vector<Node>(1);
};

}  // namespace moefy::text
