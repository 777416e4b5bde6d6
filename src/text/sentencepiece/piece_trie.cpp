#include "text/sentencepiece/piece_trie.h"

#include <algorithm>

namespace moefy::text {

PieceTrie::PieceTrie(std::vector<std::pair<std::string_view, int32_t>> pieces) {
  std::sort(pieces.begin(), pieces.end());
  // The nodes are made level by level, so that the children of a node come to lie side by side. A
  // node of depth d stands for the range of sorted pieces that share its first d bytes.
  struct Range {
    size_t begin, end;
  };
  std::vector<Range> ranges = {{0, pieces.size()}};  // of each node
  size_t level_begin = 0;
  for (size_t depth = 0; level_begin < nodes_.size(); ++depth) {
    const size_t level_end = nodes_.size();
    for (size_t node = level_begin; node < level_end; ++node) {
      auto [begin, end] = ranges[node];
      if (begin < end && pieces[begin].first.size() == depth)
        nodes_[node].id = pieces[begin++].second;
      nodes_[node].first_child = static_cast<uint32_t>(nodes_.size());
      while (begin < end) {
        const char label = pieces[begin].first[depth];
        size_t next = begin;
        while (next < end && pieces[next].first[depth] == label) ++next;
        Node child;
        child.label = static_cast<uint8_t>(label);
        nodes_.push_back(child);
        ranges.push_back({begin, next});
        ++nodes_[node].num_children;
        begin = next;
      }
    }
    level_begin = level_end;
  }
}

uint32_t PieceTrie::FindChild(uint32_t node, unsigned char label) const {
  const auto begin = nodes_.begin() + nodes_[node].first_child;
  const auto end = begin + nodes_[node].num_children;
  const auto child = std::lower_bound(
      begin, end, label, [](const Node& n, unsigned char wanted) { return n.label < wanted; });
  return child != end && child->label == label ? static_cast<uint32_t>(child - nodes_.begin()) : 0;
}

}  // namespace moefy::text
