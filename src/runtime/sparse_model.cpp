#include "moefy/runtime/sparse_model.h"

#include <malloc.h>

#include <algorithm>

#include "moefy/base/error.h"
#include "moefy/route/router.h"
#include "moefy/route/router_trainer.h"
#include "moefy/runtime/packed_linear.h"

namespace moefy::runtime {

SparseModel::SparseModel(const split::MoeCheckpoint& moe, uint64_t seed, WeightFormat format,
                         Progress& progress)
    : moe_(moe),
      seed_(seed),
      transformer_(model::LoadTransformer(moe.weights(), nullptr, model::Parts::kForExchange)) {
  transformer_.ExchangeLinears([&](const at::Tensor& weight, const at::Tensor& bias) {
    // In F32 a packed map shares its weight, and a mapped file is slower to read than memory.
    return std::make_shared<const PackedLinear>(
        format == WeightFormat::kF32 ? weight.clone() : weight, bias, format);
  });
  progress.Begin("packing experts", moe.ffns().size(), "FFNs");
  for (const split::MoeFfn& ffn : moe.ffns()) {
    experts_.push_back(std::make_shared<const ExpertWeights>(PackExperts(
        model::ReadFfnWeights(moe.weights(), ffn.spec), ffn.plan.num_experts(), format)));
    malloc_trim(0);  // what packing freed would stay, and add up to a fifth of the weights
    progress.Advance(1);
  }
  progress.End(WeightFormatName(format));
}

void SparseModel::Install(const std::string& selection, double ffn_ratio) {
  CheckSelections({selection}, {&moe_});
  installed_.clear();
  for (size_t ffn_idx = 0; ffn_idx < experts_.size(); ++ffn_idx) {
    auto sparse = std::make_unique<SparseFeedForward>(experts_[ffn_idx],
                                                      MakeRouter(selection, ffn_idx), ffn_ratio);
    installed_.push_back(sparse.get());
    transformer_.ExchangeFeedForward(ffn_idx, std::move(sparse));
  }
}

std::shared_ptr<route::Router> SparseModel::MakeRouter(const std::string& selection,
                                                       size_t ffn_idx) const {
  const int64_t num_experts = moe_.ffns()[ffn_idx].plan.num_experts();
  // Only the oracle keeps them.
  const auto read_weights = [&] {
    return model::ReadFfnWeights(moe_.weights(), moe_.ffns()[ffn_idx].spec);
  };
  if (selection == "mlp") return route::ReadMlpRouter(moe_, ffn_idx);
  if (selection == "random") {
    return std::make_shared<route::RandomRouter>(num_experts, seed_ + ffn_idx);
  }
  if (selection == "oracle") {
    return std::make_shared<route::OracleRouter>(read_weights(), num_experts);
  }
  MOEFY_CHECK(selection == "similarity");
  return std::make_shared<route::SimilarityRouter>(
      route::ExpertCenters(read_weights(), num_experts));
}

SparseCounters SparseModel::Counters() const {
  SparseCounters total;
  for (const SparseFeedForward* ffn : installed_) total += ffn->counters();
  return total;
}

double SparseModel::DenseFlops() const {
  double flops = 0;
  for (size_t i = 0; i < installed_.size(); ++i) {
    const model::FfnSpec& spec = moe_.ffns()[i].spec;
    const double per_token =
        (spec.gated() ? 6.0 : 4.0) * static_cast<double>(spec.hidden * spec.num_neurons);
    flops += per_token * static_cast<double>(installed_[i]->counters().tokens);
  }
  return flops;
}

void CheckSelections(const std::vector<std::string>& selections,
                     const std::vector<const split::MoeCheckpoint*>& models) {
  const std::vector<std::string>& known = route::RouterNames();
  for (const std::string& selection : selections) {
    if (std::find(known.begin(), known.end(), selection) == known.end()) {
      throw UsageError("unknown selection ", Quoted(selection), DidYouMean(selection, known),
                       "; one of ", Join(known));
    }
    if (selection != "mlp") continue;
    for (const split::MoeCheckpoint* moe : models) {
      if (!route::HasRouters(*moe)) {
        throw UsageError(moe->directory(), " has no routers yet; run `moefy route-train ",
                         moe->directory(), " --dump DUMP` first, or choose among --selection ",
                         "similarity,random,oracle");
      }
    }
  }
}

}  // namespace moefy::runtime
