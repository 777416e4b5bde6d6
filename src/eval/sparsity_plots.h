// A study of sparsity as pictures: SVG documents. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "eval/sparsity_study.h"

namespace moefy::eval {

// Per FFN, the share of its neurons that are active on a token, and the shares that contributions
// need.
std::string PlotActiveShares(const std::vector<FfnSparsity>& study);
// Per FFN, how often each neuron fires, the most frequent first.
std::string PlotFiringRates(const std::vector<FfnSparsity>& study);

}  // namespace moefy::eval
