#include "pipeline/route_presets.h"

#include <algorithm>

#include "base/json.h"
#include "moefy/base/error.h"

namespace moefy::pipeline {

// "paper" makes MoEfication's choices, "fast" solves for a router and changes nothing else, and
// "best", the default, is what measures best in docs/results.md; "mlp-fit" is the same with an MLP
// router, which costs more training and more work; "first-product" is for experts of single
// neurons. An output fit changes W_out, so that the result is no permutation of the dense model any
// more. The last four are the field's: docs/routing.md has their sources, and what differs.
const std::vector<RoutePreset>& RoutePresets() {
  static const std::vector<RoutePreset> presets = {
      {"paper", {.router = "mlp", .target = "mass", .epochs = 30, .fit_ratios = {}}},
      {"fast", {.router = "ridge", .target = "output-norm", .epochs = 1, .fit_ratios = {}}},
      {"best",
       {.router = "ridge",
        .target = "output-norm",
        .epochs = 1,
        .fit_ratios = {0.1, 0.2, 0.3, 0.5, 1.0},
        .compensation = "conditional",
        .output_fit = true},
       {1.0, 0.7, 0.5}},
      {"mlp-fit",
       {.router = "mlp",
        .target = "output-norm",
        .epochs = 30,
        .patience = 5,
        .fit_ratios = {0.1, 0.2, 0.3, 0.5, 1.0},
        .compensation = "conditional",
        .output_fit = true},
       {1.0, 0.7, 0.5}},
      {route::kFirstProduct,
       {.router = route::kFirstProduct,
        .target = "output-norm",
        .epochs = 1,
        .fit_ratios = {0.25, 0.5, 0.625},
        .output_fit = true}},
      {"cmoe",
       {.router = route::kExemplar, .target = "output-norm", .epochs = 1, .fit_ratios = {}},
       {1.0},
       "activation-marks"},
      {"d2dmoe",
       {.router = "regression", .target = "output-norm", .epochs = 30, .fit_ratios = {}},
       {1.0},
       "kmeans"},
      {"expertweaver",
       {.router = route::kGateRows, .target = "output-norm", .epochs = 1, .fit_ratios = {}},
       {1.0},
       "gate-profile"},
      {"cats",
       {.router = route::kFirstProduct,
        .target = "output-norm",
        .epochs = 1,
        .product = route::kGateAlone,
        .fit_ratios = {}},
       {1.0},
       nullptr,
       true,
       true},
  };
  return presets;
}

const RoutePreset& GetRoutePreset(const std::string& name) {
  std::vector<std::string> names;
  for (const RoutePreset& preset : RoutePresets()) {
    if (name == preset.name) return preset;
    names.emplace_back(preset.name);
  }
  throw UsageError("--preset is ", Quoted(name), DidYouMean(name, names), "; one of ", Join(names));
}

std::string SuitedPreset(const std::string& name, const split::MoeCheckpoint& moe) {
  const bool single = std::ranges::all_of(
      moe.ffns(), [](const split::MoeFfn& ffn) { return ffn.plan.neurons_per_expert() == 1; });
  return name == "best" && single ? route::kFirstProduct : name;
}

void CheckGoesWith(const std::string& name, const split::MoeCheckpoint& moe) {
  const RoutePreset& preset = GetRoutePreset(name);
  const Json& split = moe.manifest().at("split");
  const std::string method = split.is_object() ? split.value("method", "") : "";
  for (const split::MoeFfn& ffn : moe.ffns()) {
    const std::string found =
        preset.split_method && method != preset.split_method ? StrCat("was split by ", method)
        : preset.single_neurons && ffn.plan.neurons_per_expert() > 1
            ? StrCat("has experts of ", ffn.plan.neurons_per_expert(), " neurons")
            : "";
    if (!found.empty()) {
      throw UsageError("--preset ", preset.name, " is one half of a method, and ",
                       moe.directory().string(), " ", found,
                       "; make its experts with `moefy split --preset ", preset.name,
                       "`, or give --router and the other options one by one");
    }
    if (preset.gated && !ffn.spec.gated()) {
      throw UsageError("--preset ", preset.name, " chooses neurons by their gate, and ",
                       Quoted(ffn.spec.name), " has none; --preset first-product does without");
    }
  }
}

}  // namespace moefy::pipeline
