#include "route/router.h"

#include <algorithm>

#include "moefy/base/error.h"
#include "route/analytic_routers.h"
#include "route/first_matrices.h"
#include "route/first_product_router.h"
#include "route/learned_routers.h"

namespace moefy::route {
namespace {

using Made = std::unique_ptr<Router>;
using Parameters = std::vector<at::Tensor>;
using Shapes = std::vector<std::vector<int64_t>>;

int64_t NumMatrices(const model::FfnSpec& ffn) { return ffn.gated() ? 2 : 1; }

Shapes LinearShapes(const model::FfnSpec& ffn, int64_t experts) {
  return {{experts, ffn.hidden}, {experts}};
}

Made SimilarityOf(const model::FfnWeights& ffn, int64_t experts) {
  return std::make_unique<SimilarityRouter>(ExpertCenters(ffn, experts));
}

Made RepresentativeOf(const model::FfnWeights& ffn, int64_t experts) {
  return RepresentativeRouter::Of("representative", ffn, RepresentativeNeurons(ffn, experts));
}

Made GateRowsOf(const model::FfnWeights& ffn, int64_t experts) {
  const MeanRows mean = MeanDecidingRows(ffn, experts);
  return std::make_unique<LinearRouter>(kGateRows, mean.w, mean.b);
}

Shapes RepresentativeShapes(const model::FfnSpec& ffn, int64_t experts) {
  return {{NumMatrices(ffn), experts, ffn.hidden}, {NumMatrices(ffn), experts}};
}

}  // namespace

const std::vector<RouterKind>& RouterKinds() {
  static const std::vector<RouterKind> kinds = {
      {"mlp",
       "two small layers, trained (the paper's)",
       {"w1", "w2"},
       [](const model::FfnSpec& ffn, int64_t experts) {
         return Shapes{{experts, ffn.hidden}, {experts, experts}};
       },
       [](const Parameters& p, model::Activation) -> Made {
         return std::make_unique<MlpRouter>(p[0], p[1]);
       },
       nullptr},
      {"linear",
       "one layer with a bias, trained",
       {"w", "b"},
       LinearShapes,
       [](const Parameters& p, model::Activation) -> Made {
         return std::make_unique<LinearRouter>("linear", p[0], p[1]);
       },
       nullptr},
      {"ridge",
       "one layer with a bias, by least squares: no training",
       {"w", "b"},
       LinearShapes,
       [](const Parameters& p, model::Activation) -> Made {
         return std::make_unique<LinearRouter>("ridge", p[0], p[1]);
       },
       nullptr},
      {kUnbiased,
       "ridge without the bias, as other engines route (moefy export)",
       {"w", "b"},
       LinearShapes,
       [](const Parameters& p, model::Activation) -> Made {
         return std::make_unique<LinearRouter>(kUnbiased, p[0], p[1]);
       },
       nullptr},
      {"low-rank",
       "ridge of low rank: less work where there are many experts",
       {"down", "up", "b"},
       [](const model::FfnSpec& ffn, int64_t experts) {
         return Shapes{{kAnySize, ffn.hidden}, {experts, kAnySize}, {experts}};
       },
       [](const Parameters& p, model::Activation) -> Made {
         return std::make_unique<LowRankRouter>(p[0], p[1], p[2]);
       },
       nullptr},
      {"regression",
       "two layers of a width of their own, trained on the squared error (D2DMoE's)",
       {"w1", "b1", "w2", "b2"},
       [](const model::FfnSpec& ffn, int64_t experts) {
         return Shapes{{kAnySize, ffn.hidden}, {kAnySize}, {experts, kAnySize}, {experts}};
       },
       [](const Parameters& p, model::Activation) -> Made {
         return std::make_unique<RegressionRouter>(p[0], p[1], p[2], p[3]);
       },
       nullptr},
      {"sketch",
       "all neurons through first matrices of low rank: no training",
       {"down", "up", "bias", "length"},
       [](const model::FfnSpec& ffn, int64_t experts) {
         const int64_t size = ffn.num_neurons / experts;
         return Shapes{{kAnySize, ffn.hidden},
                       {NumMatrices(ffn), experts, size, kAnySize},
                       {NumMatrices(ffn), experts, size},
                       {experts, size}};
       },
       [](const Parameters& p, model::Activation activation) -> Made {
         return std::make_unique<SketchRouter>(p[0], p[1], p[2], p[3], activation);
       },
       nullptr},
      {kFirstProduct,
       "one of the FFN's own first products for all neurons, the others for those that count",
       {"worth"},
       [](const model::FfnSpec& ffn, int64_t) {
         return Shapes{{NumMatrices(ffn), ffn.num_neurons}};
       },
       nullptr,
       nullptr,
       [](const Parameters& p, const model::FfnSpec& ffn, int64_t experts,
          std::function<model::FfnWeights()> read) -> Made {
         return std::make_unique<FirstProductRouter>(p[0], experts, ffn.hidden, std::move(read));
       }},
      {"similarity",
       "cosine with the experts' centers: needs no data",
       {"centers"},
       [](const model::FfnSpec& ffn, int64_t experts) {
         return Shapes{{experts, ffn.hidden}};
       },
       [](const Parameters& p, model::Activation) -> Made {
         return std::make_unique<SimilarityRouter>(p[0]);
       },
       SimilarityOf},
      {"representative",
       "the neuron nearest each expert's center: needs no data",
       {"w", "bias"},
       RepresentativeShapes,
       [](const Parameters& p, model::Activation activation) -> Made {
         return std::make_unique<RepresentativeRouter>("representative", p[0], p[1], activation);
       },
       RepresentativeOf},
      {kExemplar,
       "the neuron that is active on most of the tokens that its expert is active on (CMoE's)",
       {"w", "bias"},
       RepresentativeShapes,
       [](const Parameters& p, model::Activation activation) -> Made {
         return std::make_unique<RepresentativeRouter>(kExemplar, p[0], p[1], activation);
       },
       nullptr},
      {kGateRows,
       "the mean of each expert's gate rows: needs no data (ExpertWeaver's)",
       {"w", "b"},
       LinearShapes,
       [](const Parameters& p, model::Activation) -> Made {
         return std::make_unique<LinearRouter>(kGateRows, p[0], p[1]);
       },
       GateRowsOf},
  };
  return kinds;
}

const RouterKind* FindRouterKind(const std::string& name) {
  const auto found = std::ranges::find(RouterKinds(), name, &RouterKind::name);
  return found == RouterKinds().end() ? nullptr : &*found;
}

const RouterKind& GetRouterKind(const std::string& name) {
  if (const RouterKind* kind = FindRouterKind(name)) return *kind;
  std::vector<std::string> names;
  for (const RouterKind& kind : RouterKinds()) names.push_back(kind.name);
  throw UsageError("unknown router ", Quoted(name), DidYouMean(name, names), "; one of ",
                   Join(names));
}

bool HasWidth(const RouterKind& kind) {
  model::FfnSpec smallest;
  smallest.hidden = smallest.num_neurons = 1;
  return std::ranges::any_of(kind.shapes(smallest, 1), [](const std::vector<int64_t>& shape) {
    return std::ranges::find(shape, kAnySize) != shape.end();
  });
}

const std::vector<std::string>& RouterNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const RouterKind& kind : RouterKinds()) all.push_back(kind.name);
    all.emplace_back(kStoredRouter);
    for (const Target& target : Targets()) all.push_back(target.oracle);
    all.emplace_back("random");
    return all;
  }();
  return names;
}

}  // namespace moefy::route
