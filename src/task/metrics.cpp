#include "task/metrics.h"

#include <algorithm>
#include <cmath>

#include "moefy/base/error.h"

namespace moefy::task {
namespace {

// log of the sum of exp(logits), without overflow.
double LogSumExp(const std::vector<float>& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  if (!std::isfinite(largest)) return largest;
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum);
}

}  // namespace

Estimate MeanEstimate(const std::vector<double>& values) {
  Estimate estimate;
  estimate.count = static_cast<int64_t>(values.size());
  if (values.empty()) return estimate;
  const auto count = static_cast<double>(values.size());
  for (double value : values) estimate.value += value;
  estimate.value /= count;
  if (values.size() < 2) return estimate;
  double sum_squares = 0;
  for (double value : values) sum_squares += (value - estimate.value) * (value - estimate.value);
  estimate.standard_error = std::sqrt(sum_squares / (count - 1) / count);
  return estimate;
}

Estimate Accuracy(const std::vector<int64_t>& predictions, const std::vector<int64_t>& labels) {
  MOEFY_CHECK(!labels.empty() && predictions.size() == labels.size());
  std::vector<double> correct;
  for (size_t i = 0; i < labels.size(); ++i) correct.push_back(predictions[i] == labels[i]);
  return MeanEstimate(correct);
}

Figure RatioFigure(const std::vector<Ratio>& units) {
  Figure figure;
  double numerators = 0, denominators = 0;
  for (const Ratio& unit : units) {
    numerators += unit.numerator;
    denominators += unit.denominator;
  }
  figure.value = denominators == 0 ? 0 : numerators / denominators;
  const double mean = denominators / static_cast<double>(units.size());
  for (const Ratio& unit : units) {
    const double residual = unit.numerator - figure.value * unit.denominator;
    figure.influences.push_back(denominators == 0 ? 0 : residual / mean);
  }
  return figure;
}

Figure Exponential(Figure figure) {
  figure.value = std::exp(figure.value);
  for (double& influence : figure.influences) influence *= figure.value;
  return figure;
}

Estimate ToEstimate(const Figure& figure) {
  Estimate estimate = MeanEstimate(figure.influences);
  estimate.value = figure.value;
  return estimate;
}

Estimate Difference(const Figure& figure, const Figure& base) {
  MOEFY_CHECK(figure.influences.size() == base.influences.size());
  Figure difference{figure.value - base.value, figure.influences};
  for (size_t i = 0; i < base.influences.size(); ++i) {
    difference.influences[i] -= base.influences[i];
  }
  return ToEstimate(difference);
}

double KlDivergence(const std::vector<float>& p_logits, const std::vector<float>& q_logits) {
  MOEFY_CHECK(!p_logits.empty() && p_logits.size() == q_logits.size());
  const double p_total = LogSumExp(p_logits), q_total = LogSumExp(q_logits);
  double sum = 0;
  for (size_t i = 0; i < p_logits.size(); ++i) {
    const double log_p = static_cast<double>(p_logits[i]) - p_total;
    const double p = std::exp(log_p);
    if (p == 0) continue;  // 0 log 0 is 0, also where q is 0
    sum += p * (log_p - (static_cast<double>(q_logits[i]) - q_total));
  }
  return std::max(sum, 0.0);  // rounding must not make the result negative
}

int64_t ArgMax(const std::vector<float>& values) {
  MOEFY_CHECK(!values.empty());
  return std::max_element(values.begin(), values.end()) - values.begin();
}

}  // namespace moefy::task
