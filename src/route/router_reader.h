// Reads what route-train stored for the FFNs of a split checkpoint: routers, thresholds, error
// curves and what stands in for experts. Format: docs/formats.md. Thread-safe.
//
// Functions that need routers throw Error{kUsage}, telling to run route-train, where there are none
// or an older moefy stored them; all throw Error{kInput} for tensors that are not as they should
// be.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "route/neuron_share.h"
#include "route/router.h"
#include "route/selection.h"
#include "route/substitute.h"
#include "route/threshold.h"
#include "split/moe_checkpoint.h"

namespace moefy::route {

// The kind of the stored routers; "" when there are none.
std::string StoredRouterKind(const split::MoeCheckpoint& moe);
bool HasRouters(const split::MoeCheckpoint& moe);

// `moe` outlives the router, which may read weights from it later.
std::unique_ptr<Router> ReadRouter(const split::MoeCheckpoint& moe, size_t ffn_idx,
                                   at::Device device = at::kCPU);
// Also throws Error{kUsage} for routers of another kind.
std::unique_ptr<Router> ReadMlpRouter(const split::MoeCheckpoint& moe, size_t ffn_idx);

at::Tensor ReadThresholds(const split::MoeCheckpoint& moe, size_t ffn_idx);  // [101]
// One share of the best for all FFNs, under the policy relative.
RelativeShare ReadRelativeShare(const split::MoeCheckpoint& moe, double ffn_ratio);
NeuronThresholds ReadNeuronThresholds(const split::MoeCheckpoint& moe, size_t ffn_idx);
at::Tensor ReadCompensation(const split::MoeCheckpoint& moe, size_t ffn_idx);  // or undefined
Correction ReadCorrection(const split::MoeCheckpoint& moe, size_t ffn_idx);    // or undefined

// Per FFN, the share of the running experts' neurons that goes through W_out with the stored
// routers; 1 where training did not look for one.
std::vector<double> ReadNeuronShares(const split::MoeCheckpoint& moe);

// Per FFN, the work for each token under the policy budget, in whole experts.
std::vector<int64_t> ReadBudget(const split::MoeCheckpoint& moe, double ffn_ratio);

// True when the stored routers come with what the selection's policy and share need to know.
bool HasPolicy(const split::MoeCheckpoint& moe, const Selection& selection);

}  // namespace moefy::route
