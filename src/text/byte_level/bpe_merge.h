// The heart of byte-pair encoding: merges neighbours, the best pair first, until no pair is left
// that may merge. A linked list and a heap make it O(n log n) for a word of n symbols. Sennrich et
// al. 2016, https://arxiv.org/abs/1508.07909. Thread-safety: pure function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <queue>
#include <tuple>
#include <vector>

namespace moefy::text {

struct BpeSymbol {
  int64_t id = 0;
  size_t begin = 0, end = 0;  // bytes of the word
};

struct BpeMerge {
  double cost = 0;  // the lowest goes first; among equals, the leftmost
  int64_t id = 0;   // of the merged symbol
};

// `symbols` cover the word from left to right. find(left, right) returns a std::optional<BpeMerge>:
// how two neighbours merge, or nothing if they do not.
template <typename Find>
void MergeSymbols(std::vector<BpeSymbol>& symbols, Find&& find) {
  struct Candidate {
    double cost;
    size_t left, right;  // indices of symbols
    size_t num_bytes;    // of both; differs from theirs once one of them has been merged
    int64_t id;
    bool operator>(const Candidate& other) const {
      return std::tie(cost, left) > std::tie(other.cost, other.left);
    }
  };
  const size_t none = symbols.size();
  std::vector<size_t> next(symbols.size()), previous(symbols.size());
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto num_bytes = [&](size_t i) { return symbols[i].end - symbols[i].begin; };
  const auto offer = [&](size_t left, size_t right) {
    if (left == none || right == none) return;
    if (const std::optional<BpeMerge> merge = find(symbols[left], symbols[right])) {
      candidates.push({merge->cost, left, right, num_bytes(left) + num_bytes(right), merge->id});
    }
  };
  for (size_t i = 0; i < symbols.size(); ++i) {
    next[i] = i + 1;
    previous[i] = i == 0 ? none : i - 1;
  }
  for (size_t i = 1; i < symbols.size(); ++i) offer(i - 1, i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    BpeSymbol& left = symbols[best.left];
    BpeSymbol& right = symbols[best.right];
    if (left.begin == left.end || right.begin == right.end ||
        right.end - left.begin != best.num_bytes) {
      continue;  // one of them is part of another symbol by now
    }
    left = {best.id, left.begin, right.end};
    right.begin = right.end;
    next[best.left] = next[best.right];
    if (next[best.left] != none) previous[next[best.left]] = best.left;
    offer(previous[best.left], best.left);
    offer(best.left, next[best.left]);
  }
  std::erase_if(symbols, [](const BpeSymbol& symbol) { return symbol.begin == symbol.end; });
}

}  // namespace moefy::text
