// Clocks around the FFNs of a dense model. Thread-safety: as the model's.
#pragma once

#include <cstdint>
#include <vector>

#include "moefy/model/transformer.h"

namespace moefy::eval {

class TimedFeedForward;

class TimedFeedForwards {
 public:
  // Puts a clock around every FFN of `model`, which keeps them and must live as long as this.
  explicit TimedFeedForwards(model::Transformer& model);

  void Restart();             // from no time and no tokens
  double Seconds() const;     // inside FFNs, on GPUs too
  int64_t NumTokens() const;  // through FFNs, summed over FFNs

 private:
  std::vector<TimedFeedForward*> ffns_;  // owned by the model
};

}  // namespace moefy::eval
