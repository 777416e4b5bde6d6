#include "export/linear_routers.h"

#include "moefy/base/error.h"
#include "route/router_reader.h"
#include "route/router_store.h"
#include "route/router_trainer.h"

namespace moefy::exports {
namespace {

const char* KindFor(const Format& format) {
  return format.router_bias ? "ridge" : route::kUnbiased;
}

std::string TargetOf(const split::MoeCheckpoint& moe) {
  constexpr const char* kDefault = "output-norm";
  const JsonObject manifest(moe.manifest(), split::kMoeManifest);
  if (!manifest.Has("router")) return kDefault;
  return manifest.GetObject("router").GetString("target", kDefault);
}

// Why the stored routers cannot be exported; "" if they can.
std::string WhatHinders(const split::MoeCheckpoint& moe, const ExportPlan& plan,
                        const std::vector<RouterRows>& stored) {
  const std::string kind = route::StoredRouterKind(moe);
  if (kind.empty()) return "it has no routers";
  if (!IsLinear(kind)) {
    return StrCat("its ", kind, " routers are not linear, as engines have them");
  }
  if (plan.format.router_bias) return "";
  for (const RouterRows& rows : stored) {
    if (!HasBias(WithoutShared(rows, plan.sizes.shared))) continue;
    return StrCat("its ", kind, " routers have a bias, and ", plan.format.name, " has none");
  }
  return "";
}

RouterRows Train(const split::MoeCheckpoint& moe, size_t ffn_idx, const ExportPlan& plan,
                 const record::ActivationDump& dump) {
  const split::MoeFfn& ffn = moe.ffns()[ffn_idx];
  route::RouterTrainOptions options;
  options.router = KindFor(plan.format);
  options.target = TargetOf(moe);
  options.epochs = 1;
  options.metric_ratio = static_cast<double>(plan.sizes.chosen + plan.sizes.shared) /
                         static_cast<double>(ffn.plan.num_experts());
  options.fit_ratios = {options.metric_ratio};
  const route::TrainedRouter trained =
      route::TrainRouter(model::ReadFfnWeights(moe.weights(), ffn.spec), ffn.plan.num_experts(),
                         dump, dump.Find(ffn.spec).value(), options, ffn.plan.num_shared());
  return RowsOf(*trained.router);
}

}  // namespace

LinearRouters FindLinearRouters(const split::MoeCheckpoint& moe, const ExportPlan& plan,
                                const record::ActivationDump* dump, Progress& progress) {
  LinearRouters out;
  if (IsLinear(route::StoredRouterKind(moe))) {
    for (size_t i = 0; i < moe.ffns().size(); ++i) {
      out.rows.push_back(RowsOf(*route::ReadRouter(moe, i)));
    }
  }
  const std::string hinders = WhatHinders(moe, plan, out.rows);
  if (hinders.empty()) return out;
  if (dump == nullptr) {
    throw UsageError(moe.directory(), " cannot be exported as it is routed: ", hinders,
                     "; train others with `moefy route-train ", moe.directory(),
                     " --dump DUMP --preset fast --router ", KindFor(plan.format),
                     " --out MOE`, which shows what they keep, or give --dump here");
  }
  route::CheckDumpMatches(moe, *dump);
  out.rows.clear();
  out.stored = false;
  for (size_t i = 0; i < moe.ffns().size(); ++i) {
    ThrowIfInterrupted();
    out.rows.push_back(Train(moe, i, plan, *dump));
    progress.Advance(1);
  }
  return out;
}

}  // namespace moefy::exports
