// What every FFN of a split model runs with a selection at an ffn ratio: its router, its plan and
// what stands in for the other experts, as route-train stored them. Thread-safety: reading is
// thread-safe; a router may be used from one thread at a time.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "route/ffn_plan.h"
#include "route/router.h"
#include "route/selection.h"
#include "route/substitute.h"
#include "split/moe_checkpoint.h"

namespace moefy::route {

// How one FFN chooses experts and stands in for the others, whoever computes them.
struct RoutedFfn {
  std::shared_ptr<Router> router;
  FfnPlan plan;
  at::Tensor compensation = {};  // [experts, hidden] or undefined: added for each expert not chosen
  Correction correction = {};    // scaled by the share of the experts that do not run
};

// One entry per FFN, all tensors on `device`. Compensation and correction belong to the experts
// that the stored router leaves out; selections by other routers go without. `seed` is that of the
// random selection. Throws Error{kUsage} as CheckServes does, and for a ratio outside (0, 1].
std::vector<RoutedFfn> ReadRoutedFfns(const split::MoeCheckpoint& moe, const Selection& selection,
                                      double ffn_ratio, uint64_t seed = 0,
                                      at::Device device = at::kCPU);

// Whether the model's single neurons are chosen by first-product routers, with this router of a
// selection (route/first_product_router.h): then the FFN runs neuron by neuron.
bool RunsNeuronwise(const split::MoeCheckpoint& moe, const std::string& router);

// Whether routing and the chosen experts together are no less work than all experts. Then all
// experts run, the router does not, and nothing stands in: that is faster and closer to dense.
// `neuron_flops` is the work of a neuron: 2 x hidden x matrices.
bool AllAreLessWork(const SelectionRule& rule, int64_t num_experts, int64_t neurons_per_expert,
                    double neuron_flops, double router_flops);

// The selection with the kind of the model's own routers in the place of "stored".
Selection NameStored(const split::MoeCheckpoint& moe, Selection selection);

// Throws Error{kUsage} unless the model holds the routers that the selection needs, and what its
// policy and share need to know.
void CheckServes(const split::MoeCheckpoint& moe, const Selection& selection);

}  // namespace moefy::route
