// Figures made of predictions, each with its uncertainty. Pure functions.
#pragma once

#include <cstdint>
#include <vector>

namespace moefy::task {

struct Estimate {
  double value = 0;
  double standard_error = 0;
  int64_t count = 0;
};

// Mean of per-example values with the standard error sd / sqrt(n) (n - 1 in sd; 0 for n < 2).
Estimate MeanEstimate(const std::vector<double>& values);

// Share of predictions equal to the labels. Both of the same, non-zero length.
Estimate Accuracy(const std::vector<int64_t>& predictions, const std::vector<int64_t>& labels);

// KL(p || q) in nats of two categorical distributions given as logits of the same length.
double KlDivergence(const std::vector<float>& p_logits, const std::vector<float>& q_logits);

// Index of the largest value; the first of equals.
int64_t ArgMax(const std::vector<float>& values);

}  // namespace moefy::task
