// What an FFN runs at an ffn ratio, given scores: as the sparse model will
// (runtime/sparse_model.cpp).
#pragma once

#include <algorithm>
#include <cstdint>

#include "route/neuron_share.h"
#include "route/output_error.h"
#include "route/selection.h"

namespace moefy::route {

struct Runner {
  int64_t num_experts, num_shared, num_matrices;
  NeuronThresholds thresholds = {};  // of a neuron_share below 1
  double neuron_share = 1;

  // scores [tokens, experts]; with the work of `more` experts besides.
  ExpertMask At(double ffn_ratio, const at::Tensor& scores, int64_t more = 0) const {
    const int64_t whole =
        std::min(num_experts, NumSelected(ffn_ratio, num_experts, num_shared) + more);
    const FfnPortion portion = PortionFor(static_cast<double>(whole), neuron_share, num_experts,
                                          num_matrices, /*whole_experts=*/true);
    return {TopKMask(scores, static_cast<int64_t>(portion.num_experts), num_shared),
            thresholds.MinMagnitude(portion.num_experts / static_cast<double>(num_experts),
                                    portion.neuron_share)};
  }
};

}  // namespace moefy::route
