// The choice of the next token from its logits.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "moefy/model/generation.h"

namespace moefy::model {

// Chooses for texts that are generated together. Only the first choice allocates.
class Sampler {
 public:
  Sampler(const GenerationOptions& options, size_t num_texts);

  // Returns the best token that is not banned or, if the temperature is above 0, one drawn for that
  // text, whatever other texts draw. Source of top-p: Holtzman et al., arXiv 1904.09751.
  int64_t Choose(size_t text_idx, std::span<const float> logits);

 private:
  int64_t Draw(std::mt19937_64& random);
  int32_t Best(size_t rank);

  const GenerationOptions& options_;
  std::vector<std::mt19937_64> random_;  // one per text
  std::vector<double> scores_;           // [vocab] logits, then shares
  std::vector<int32_t> ids_;             // [vocab] a heap; behind it the best, in order
  size_t num_best_ = 0;
};

}  // namespace moefy::model
