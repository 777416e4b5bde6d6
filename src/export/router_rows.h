// The router of an FFN as other engines run one: a linear map, whose scores are so near each other
// that the softmax of them weights all experts alike. Pure functions.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <optional>
#include <string>

#include "export/format.h"
#include "route/router.h"
#include "split/moe_checkpoint.h"

namespace moefy::exports {

// Scores are w x + b, up to a positive factor of the token's: what matters is their order.
struct RouterRows {
  at::Tensor w;  // [experts, hidden]
  at::Tensor b;  // [experts]
};

// Whether routers of this kind are linear up to such a factor.
bool IsLinear(const std::string& router_kind);
// The rows of a router of a linear kind.
RouterRows RowsOf(const route::Router& router);

// Leaves out the shared experts, the first ones, which no router chooses.
RouterRows WithoutShared(const RouterRows& rows, int64_t num_shared);

// Whether the bias matters to the choice: it does not if it is the same for all experts.
bool HasBias(const RouterRows& rows);

// How much the scores of a token spread over the experts once they are flat. The engine's weights
// of experts then differ by about so much. An engine that chooses by a softmax or a sigmoid of the
// scores, in F32, tells only those apart that differ by 2^-24: less spread would make weights more
// alike and choices worse (docs/exports.md has both measured). One that chooses by the scores
// themselves has no such limit.
double FlatSpread(Gates gates);

// The same choice with flat scores: the mean row is taken away from every row, which changes no
// choice, and what is left is multiplied by a power of two, which is exact. norm_weight [hidden] is
// that of the RMS norm before the FFN, from which the spread is estimated: before that weight, a
// normed input has mean square 1.
RouterRows Flat(const RouterRows& rows, const at::Tensor& norm_weight, double spread);

}  // namespace moefy::exports
