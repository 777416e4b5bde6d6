// Computes figures of predictions, each with its uncertainty. Pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "moefy/task/estimate.h"

namespace moefy::task {

// The mean of per-example values with the standard error sd / sqrt(n), where sd divides by n - 1.
// There is no standard error for n < 2.
Estimate MeanEstimate(const std::vector<double>& values);

// The share of predictions equal to the labels. Both have the same length, which is not 0.
Estimate Accuracy(const std::vector<int64_t>& predictions, const std::vector<int64_t>& labels);

// One unit's share in a figure: an example's, or a token's.
struct Ratio {
  double numerator = 0;
  double denominator = 1;
};

// A figure of many units and how far each pulls it from its value: standard errors, also of the
// difference of two figures over the same units, are those of the mean pull.
struct Figure {
  double value = 0;
  std::vector<double> influences;  // per unit; they sum to 0
};

// The sum of all numerators divided by the sum of all denominators, or 0 if that is 0. With all
// denominators 1 it is the mean. The standard error is that of a ratio estimate (Cochran
// 1977, 6.4).
Figure RatioFigure(const std::vector<Ratio>& units);
// exp of a figure, with the standard error by the delta method.
Figure Exponential(Figure figure);
Estimate ToEstimate(const Figure& figure);
// `figure` minus `base`, paired by unit: both have the same units.
Estimate Difference(const Figure& figure, const Figure& base);

// KL(p || q) in nats of two categorical distributions, given as logits of the same length.
double KlDivergence(const std::vector<float>& p_logits, const std::vector<float>& q_logits);

// The index of the largest value, and of equals the first.
int64_t ArgMax(const std::vector<float>& values);

}  // namespace moefy::task
