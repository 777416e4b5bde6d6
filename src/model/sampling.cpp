#include "model/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace moefy::model {

Sampler::Sampler(const GenerationOptions& options, size_t num_texts) : options_(options) {
  for (size_t i = 0; i < num_texts; ++i) {
    random_.emplace_back(options.seed + 0x9E3779B97F4A7C15u * static_cast<uint64_t>(i));
  }
}

int64_t Sampler::Choose(size_t text_idx, std::span<const float> logits) {
  scores_.assign(logits.begin(), logits.end());
  for (const int64_t id : options_.banned_ids) {
    scores_[static_cast<size_t>(id)] = -std::numeric_limits<double>::infinity();
  }
  if (options_.temperature > 0) return Draw(random_[text_idx]);
  return std::max_element(scores_.begin(), scores_.end()) - scores_.begin();
}

int64_t Sampler::Draw(std::mt19937_64& random) {
  const size_t vocab = scores_.size();
  const double highest = *std::max_element(scores_.begin(), scores_.end());
  for (double& score : scores_) score = std::exp((score - highest) / options_.temperature);
  ids_.resize(vocab);
  std::iota(ids_.begin(), ids_.end(), 0);
  num_best_ = 0;
  const auto share = [&](size_t rank) { return scores_[static_cast<size_t>(Best(rank))]; };
  // The best tokens are taken, as many as top-k says,
  size_t count = vocab;
  double total = 0;
  if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < vocab) {
    count = static_cast<size_t>(options_.top_k);
    for (size_t rank = 0; rank < count; ++rank) total += share(rank);
  } else {
    total = std::accumulate(scores_.begin(), scores_.end(), 0.0);
  }
  // and from them the fewest that together have the share top-p, at least one.
  if (options_.top_p < 1) {
    const double wanted = options_.top_p * total;
    size_t enough = 0;
    total = 0;
    do total += share(enough++);
    while (enough < count && total < wanted);
    count = enough;
  }
  // std::uniform_real_distribution would differ between standard libraries.
  double left = static_cast<double>(random() >> 11) * 0x1p-53 * total;
  size_t drawn = 0;
  while (drawn + 1 < count && left >= share(drawn)) left -= share(drawn++);
  return Best(drawn);
}

// Returns the token of that rank. Callers ask for ranks in order, so that tokens are sorted only as
// far as somebody asks.
int32_t Sampler::Best(size_t rank) {
  const auto worse = [&](int32_t a, int32_t b) {
    const double of_a = scores_[static_cast<size_t>(a)], of_b = scores_[static_cast<size_t>(b)];
    return of_a != of_b ? of_a < of_b : a > b;
  };
  if (num_best_ == 0) std::make_heap(ids_.begin(), ids_.end(), worse);
  for (; num_best_ <= rank; ++num_best_) {
    std::pop_heap(ids_.begin(), ids_.end() - static_cast<ptrdiff_t>(num_best_), worse);
  }
  return ids_[ids_.size() - 1 - rank];
}

}  // namespace moefy::model
