// Dynamic k: a threshold in the place of a number, so that an easy token runs fewer experts. It is
// one score for all tokens of an FFN, or one share of each token's best score for all FFNs of a
// model (D2DMoE, arXiv 2310.04361, section 3.4, where it is 1 - tau). Pure functions.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace moefy::route {

// scores [tokens, experts] -> F32 [101]: entry i is the score that i % of all pairs of a token and
// an expert reach. The first num_shared experts are left out.
at::Tensor ThresholdTable(const at::Tensor& scores, int64_t num_shared = 0);

// The threshold with which a mean share ffn_ratio of the experts runs, where `shared_ratio` of them
// are shared: -infinity for 1, and infinity where only the shared ones may run. A smaller share
// runs where so many have the least score of all that they cannot be told apart. Throws
// Error{kUsage} unless ffn_ratio is in (0, 1].
float ThresholdFor(const at::Tensor& table, double ffn_ratio, double shared_ratio = 0);

// scores [tokens, experts] as shares of each token's best score: 1 for the best, and for the others
// next to nothing (a large negative number) where the best is not more than 0. The first num_shared
// experts are left out of everything: [tokens, experts - num_shared].
at::Tensor SharesOfBest(const at::Tensor& scores, int64_t num_shared = 0);

// The share of all pairs that a ThresholdTable was made of that reach `score`, between its entries
// by interpolation.
double ShareReaching(const at::Tensor& table, double score);

// One of the FFNs that are given one share of the best.
struct RelativeFfn {
  at::Tensor table;         // ThresholdTable of SharesOfBest
  double cost = 1;          // of running all its experts
  double shared_ratio = 0;  // the share of the experts that always runs
};

struct RelativeShare {
  double of_best;                     // -infinity where all experts run
  std::vector<double> expert_ratios;  // of each FFN, on the mean, shared experts counted
};

// The share of the best with which the FFNs run the share ffn_ratio of their costs on the mean, or,
// where shared experts are more than that, nearly nothing else. Throws Error{kUsage} unless
// ffn_ratio is in (0, 1].
RelativeShare RelativeShareFor(const std::vector<RelativeFfn>& ffns, double ffn_ratio);

}  // namespace moefy::route
