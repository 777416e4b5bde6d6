#include "export/router_rows.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "moefy/base/error.h"

namespace moefy::exports {
namespace {

using Parameters = std::vector<at::Tensor>;

at::Tensor NoBias(const at::Tensor& w) { return at::zeros({w.size(0)}, w.options()); }

// How a kind's parameters become rows.
struct LinearKind {
  const char* name;
  RouterRows (*rows)(const Parameters& p);
};

RouterRows FromWeightAndBias(const Parameters& p) { return {p[0], p[1]}; }

constexpr std::array<LinearKind, 5> kLinearKinds = {{
    {"linear", FromWeightAndBias},
    {"ridge", FromWeightAndBias},
    {route::kUnbiased, FromWeightAndBias},
    {"low-rank",
     [](const Parameters& p) {
       return RouterRows{p[1].mm(p[0]), p[2]};
     }},
    // A cosine is the product with the center over the input's length.
    {"similarity",
     [](const Parameters& p) {
       return RouterRows{p[0], NoBias(p[0])};
     }},
}};

const LinearKind* FindLinearKind(const std::string& name) {
  const auto* found =
      std::ranges::find_if(kLinearKinds, [&](const LinearKind& kind) { return name == kind.name; });
  return found == kLinearKinds.end() ? nullptr : found;
}

}  // namespace

bool IsLinear(const std::string& router_kind) { return FindLinearKind(router_kind) != nullptr; }

RouterRows RowsOf(const route::Router& router) {
  const LinearKind* kind = FindLinearKind(router.name());
  MOEFY_CHECK(kind != nullptr);
  return kind->rows(router.Parameters());
}

RouterRows WithoutShared(const RouterRows& rows, int64_t num_shared) {
  const int64_t others = rows.w.size(0) - num_shared;
  return {rows.w.narrow(0, num_shared, others), rows.b.narrow(0, num_shared, others)};
}

bool HasBias(const RouterRows& rows) { return !rows.b.eq(rows.b[0]).all().item<bool>(); }

double FlatSpread(Gates gates) {
  switch (gates) {
    case Gates::kChosen:
      return 0x1p-18;
    case Gates::kScaled:  // a sigmoid has a slope of 1/4
      return 0x1p-10;
    case Gates::kNormalised:
    case Gates::kSoftmax:
      break;
  }
  return 0x1p-12;
}

RouterRows Flat(const RouterRows& rows, const at::Tensor& norm_weight, double wanted) {
  const at::Tensor wide = rows.w.to(at::kDouble), bias = rows.b.to(at::kDouble);
  RouterRows flat{wide - wide.mean(0, /*keepdim=*/true), bias - bias.mean()};
  const auto square = (flat.w * norm_weight.to(at::kDouble)).square().sum(1).mean().item<double>();
  const double spread = std::sqrt(square);
  const double scale = spread > 0 ? std::exp2(std::round(std::log2(wanted / spread))) : 1;
  return {(flat.w * scale).to(at::kFloat), (flat.b * scale).to(at::kFloat)};
}

}  // namespace moefy::exports
