// Figures made of predictions, each with its uncertainty. Pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "moefy/task/estimate.h"

namespace moefy::task {

// Mean of per-example values with the standard error sd / sqrt(n) (n - 1 in sd; none for n < 2).
Estimate MeanEstimate(const std::vector<double>& values);

// Share of predictions equal to the labels. Both of the same, non-zero length.
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

// All numerators by all denominators, 0 where those are 0; of denominators 1, the mean. The
// standard error is that of a ratio estimate (Cochran 1977, 6.4).
Figure RatioFigure(const std::vector<Ratio>& units);
// exp of a figure; the standard error by the delta method.
Figure Exponential(Figure figure);
Estimate ToEstimate(const Figure& figure);
// `figure` minus `base`, paired by unit: both have the same units.
Estimate Difference(const Figure& figure, const Figure& base);

// KL(p || q) in nats of two categorical distributions given as logits of the same length.
double KlDivergence(const std::vector<float>& p_logits, const std::vector<float>& q_logits);

// Index of the largest value; the first of equals.
int64_t ArgMax(const std::vector<float>& values);

}  // namespace moefy::task
